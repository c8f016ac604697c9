"""Backbones of mmsegmentation beside ResNet, in plain PyTorch with its keys, and the PSPHead.

They are written from mmseg/models/backbones (mobilenet_v2.py, resnest.py, resnet.py), from
mmseg/models/utils (inverted_residual.py, res_layer.py) and psp_head.py; nothing here imports the
package.
"""

import torch
from references import BINS, ConvModule, convolution, resized, stage, unit
from torch import Tensor, nn
from torch.nn import functional as F


class Unit(nn.Module):
    """mmcv's convolution, BN and ReLU6, or no activation."""

    def __init__(
        self,
        inputs: int,
        out: int,
        side: int,
        stride: int,
        dilation: int,
        groups: int,
        active: bool,
    ) -> None:
        super().__init__()
        padding = dilation * (side // 2)
        self.conv = nn.Conv2d(
            inputs, out, side, stride, padding, dilation, groups=groups, bias=False
        )
        self.bn, self.active = nn.BatchNorm2d(out), active

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn(self.conv(x))
        return y.clamp(0, 6) if self.active else y


class Inverted(nn.Module):
    """An inverted residual block: expand, depthwise, project."""

    def __init__(self, inputs: int, out: int, stride: int, expand: int, dilation: int) -> None:
        super().__init__()
        hidden = inputs * expand
        self.adds = stride == 1 and inputs == out
        units = [Unit(inputs, hidden, 1, 1, 1, 1, True)] if expand > 1 else []
        units.append(Unit(hidden, hidden, 3, stride, dilation, hidden, True))
        self.conv = nn.Sequential(*units, Unit(hidden, out, 1, 1, 1, 1, False))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    """configs/mobilenet_v2: the first block alone of a stage has its stride and its dilation."""

    STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
    features = (96, 320)

    def __init__(
        self,
        strides: tuple[int, ...] = (1, 2, 2, 1, 1, 1, 1),
        dilations: tuple[int, ...] = (1, 1, 1, 2, 2, 4, 4),
    ) -> None:
        super().__init__()
        self.conv1 = Unit(3, 32, 3, 2, 1, 1, True)
        inputs = 32
        for i, (expand, out, count) in enumerate(self.STAGES):
            blocks = [Inverted(inputs, out, strides[i], expand, dilations[i])]
            blocks += [Inverted(out, out, 1, expand, 1) for _ in range(count - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
            inputs = out

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv1(image)
        for i in range(1, 6):
            x = self.get_submodule(f"layer{i}")(x)
        return x, self.get_submodule("layer7")(self.get_submodule("layer6")(x))


class Split(nn.Module):
    """A split-attention convolution of radix 2 (Zhang et al. 2020, figure 2)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        inner = max(width * 2 // 4, 32)
        self.conv = nn.Conv2d(
            width, 2 * width, 3, padding=dilation, dilation=dilation, groups=2, bias=False
        )
        self.bn0, self.fc1 = nn.BatchNorm2d(2 * width), nn.Conv2d(width, inner, 1)
        self.bn1, self.fc2 = nn.BatchNorm2d(inner), nn.Conv2d(inner, 2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        first, second = F.relu(self.bn0(self.conv(x))).chunk(2, dim=1)
        mean = (first + second).mean((2, 3), keepdim=True)
        scores = self.fc2(F.relu(self.bn1(self.fc1(mean)))).chunk(2, dim=1)
        one, other = torch.stack(scores).softmax(0)
        return one * first + other * second


class SplitBlock(nn.Module):
    """ResNeSt's bottleneck, whose stride is an average pool after its 3×3."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        out = 4 * width
        self.conv1, self.bn1, _ = unit(inputs, width, 1)
        self.conv2, self.stride = Split(width, dilation), stride
        self.conv3, self.bn3, _ = unit(width, out, 1)
        self.downsample = None
        if stride != 1 or inputs != out:
            pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            self.downsample = nn.Sequential(pool, convolution(inputs, out, 1), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.bn1(self.conv1(x))))
        if self.stride > 1:
            y = F.avg_pool2d(y, 3, self.stride, padding=1)
        return F.relu(self.bn3(self.conv3(y)) + (self.downsample(x) if self.downsample else x))


class ResNeSt(nn.Module):
    """configs/resnest: a deep stem, dilations (1, 1, 2, 4), halved in a stage's first block."""

    features = (1024, 2048)

    def __init__(self, counts: tuple[int, ...], stem: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *unit(3, stem // 2, 3, stride=2),
            *unit(stem // 2, stem // 2, 3),
            *unit(stem // 2, stem, 3),
        )
        inputs = stem
        for i, (count, stride, dilation) in enumerate(
            zip(counts, (1, 2, 1, 1), (1, 1, 2, 4), strict=True)
        ):
            width, first = 64 << i, max(1, dilation // 2)
            blocks = [SplitBlock(inputs, width, stride, first)]
            inputs = 4 * width
            blocks += [SplitBlock(inputs, width, 1, dilation) for _ in range(count - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = F.max_pool2d(self.stem(image), 3, 2, 1)
        for i in (1, 2, 3):
            x = self.get_submodule(f"layer{i}")(x)
        return x, self.get_submodule("layer4")(x)


class D32(nn.Module):
    """configs/pspnet/pspnet_r50-d32: ResNetV1c whose last stages have strides and dilations."""

    def __init__(self, depth: int, deep_stem: bool) -> None:
        super().__init__()
        wide = 512 if depth == 18 else 2048
        self.features = (wide // 2, wide)
        if deep_stem:
            self.stem = nn.Sequential(*unit(3, 32, 3, stride=2), *unit(32, 32, 3), *unit(32, 64, 3))
        else:
            self.conv1, self.bn1, _ = unit(3, 64, 7, stride=2)
        self.layer1 = stage(depth, 0, 64, stride=1, first=1, rest=1)
        self.layer2 = stage(depth, 1, wide // 8, stride=2, first=1, rest=1)
        self.layer3 = stage(depth, 2, wide // 4, stride=2, first=1, rest=2)
        self.layer4 = stage(depth, 3, wide // 2, stride=2, first=2, rest=4)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        plain = not hasattr(self, "stem")
        x = F.relu(self.bn1(self.conv1(image))) if plain else self.stem(image)
        x = self.layer3(self.layer2(self.layer1(F.max_pool2d(x, 3, 2, 1))))
        return x, self.layer4(x)


class Segmentor(nn.Module):
    """A backbone with a PSPHead and a FCNHead of one convolution."""

    def __init__(self, backbone: nn.Module, classes: int, channels: int = 512) -> None:
        super().__init__()
        stage4, stage5 = backbone.features
        self.backbone = backbone
        head = self.decode_head = nn.ModuleDict()
        head["conv_seg"] = nn.Conv2d(channels, classes, 1)
        levels = [
            nn.Sequential(nn.AdaptiveAvgPool2d(b), ConvModule(stage5, channels, 1)) for b in BINS
        ]
        head["psp_modules"] = nn.ModuleList(levels)
        head["bottleneck"] = ConvModule(stage5 + 4 * channels, channels, 3)
        second = self.auxiliary_head = nn.ModuleDict()
        second["conv_seg"] = nn.Conv2d(channels // 2, classes, 1)
        second["convs"] = nn.Sequential(ConvModule(stage4, channels // 2, 3))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and auxiliary logits (N, classes, H, W)."""
        stage4, x = self.backbone(image)
        head, second, size = self.decode_head, self.auxiliary_head, image.shape[2:]
        levels = [resized(level(x), x.shape[2:], False) for level in head["psp_modules"]]
        logits = head["conv_seg"](head["bottleneck"](torch.cat([x, *levels], dim=1)))
        auxiliary = second["conv_seg"](second["convs"](stage4))
        return resized(logits, size, False), resized(auxiliary, size, False)
