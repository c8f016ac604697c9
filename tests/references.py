"""The published PSPNets in plain PyTorch, as references for the package's network.

They are written from the papers, the keys of the checkpoints and the published computations;
nothing here imports the package. They concatenate and resize at full width, as published, and have
no dropout.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BINS = (1, 2, 3, 6)
COUNTS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
WIDTHS = (64, 128, 256, 512)


def convolution(inputs: int, out: int, side: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, out, side, stride, dilation * (side // 2), dilation, bias=False)


def unit(inputs: int, out: int, side: int, stride: int = 1) -> list[nn.Module]:
    """Convolution, BN, ReLU."""
    return [convolution(inputs, out, side, stride), nn.BatchNorm2d(out), nn.ReLU()]


def resized(x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=align_corners)


class Block(nn.Module):
    """A residual block with the keys of both PyTorch releases (He et al. 2016, figure 5).

    The bottleneck has its stride and dilation on the 3×3. The basic block has them on its first
    3×3; the second has none (mmsegmentation's `BasicBlock`).
    """

    def __init__(self, inputs: int, width: int, basic: bool, stride: int, dilation: int) -> None:
        super().__init__()
        out = width if basic else 4 * width
        wide = convolution(inputs if basic else width, width, 3, stride, dilation)
        if basic:
            layers = [wide, convolution(width, out, 3)]
        else:
            layers = [convolution(inputs, width, 1), wide, convolution(width, out, 1)]
        self.places = range(1, len(layers) + 1)
        for i, layer in zip(self.places, layers, strict=True):
            self.add_module(f"conv{i}", layer)
            self.add_module(f"bn{i}", nn.BatchNorm2d(layer.out_channels))
        self.downsample = None
        if stride != 1 or inputs != out:
            shortcut = convolution(inputs, out, 1, stride)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i in self.places:
            y = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(y))
            y = y if i == self.places[-1] else F.relu(y)
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def stage(depth: int, index: int, inputs: int, stride: int, first: int, rest: int) -> nn.Sequential:
    """Build stage conv`index + 2`: `first` dilates its first block, `rest` the others."""
    width, basic = WIDTHS[index], depth == 18
    blocks = [Block(inputs, width, basic, stride, first)]
    for _ in range(COUNTS[depth][index] - 1):
        blocks.append(Block(width if basic else 4 * width, width, basic, 1, rest))
    return nn.Sequential(*blocks)


class Semseg(nn.Module):
    """hszhao/semseg: deep stem 64-64-128, dilation 2 and 4 in every block, corners aligned."""

    def __init__(self, depth: int, classes: int) -> None:
        super().__init__()
        stem = unit(3, 64, 3, stride=2) + unit(64, 64, 3) + unit(64, 128, 3)
        self.layer0 = nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1))
        self.layer1 = stage(depth, 0, 128, stride=1, first=1, rest=1)
        self.layer2 = stage(depth, 1, 256, stride=2, first=1, rest=1)
        self.layer3 = stage(depth, 2, 512, stride=1, first=2, rest=2)
        self.layer4 = stage(depth, 3, 1024, stride=1, first=4, rest=4)
        levels = [nn.Sequential(nn.AdaptiveAvgPool2d(b), *unit(2048, 512, 1)) for b in BINS]
        self.ppm = nn.ModuleDict({"features": nn.ModuleList(levels)})
        # the identity stands for the dropout
        self.cls = nn.Sequential(*unit(4096, 512, 3), nn.Identity(), nn.Conv2d(512, classes, 1))
        self.aux = nn.Sequential(*unit(1024, 256, 3), nn.Identity(), nn.Conv2d(256, classes, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and auxiliary logits (N, classes, H, W) of images of 8n + 1 pixels a side."""
        size = image.shape[2:]
        assert all((side - 1) % 8 == 0 for side in size)
        stage4 = self.layer3(self.layer2(self.layer1(self.layer0(image))))
        x = self.layer4(stage4)
        levels = [resized(level(x), x.shape[2:], True) for level in self.ppm["features"]]
        logits = self.cls(torch.cat([x, *levels], dim=1))
        return resized(logits, size, True), resized(self.aux(stage4), size, True)

    def loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy averaged over the pixels that are not 255."""
        return F.cross_entropy(logits, label, ignore_index=255)


class ConvModule(nn.Module):
    """mmcv's convolution, BN, ReLU with its keys."""

    def __init__(self, inputs: int, out: int, side: int) -> None:
        super().__init__()
        self.conv, self.bn, _ = unit(inputs, out, side)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Mmsegmentation(nn.Module):
    """open-mmlab/mmsegmentation: first blocks dilated by 1 and 2, corners not aligned.

    With `deep_stem` ResNetV1c (32-32-64), without it ResNet's 7×7.
    """

    def __init__(self, depth: int, classes: int, deep_stem: bool = True) -> None:
        super().__init__()
        features, channels = (512, 128) if depth == 18 else (2048, 512)
        net = nn.ModuleDict()
        if deep_stem:
            net["stem"] = nn.Sequential(
                *unit(3, 32, 3, stride=2), *unit(32, 32, 3), *unit(32, 64, 3)
            )
        else:
            net["conv1"], net["bn1"], _ = unit(3, 64, 7, stride=2)
        net["layer1"] = stage(depth, 0, 64, stride=1, first=1, rest=1)
        net["layer2"] = stage(depth, 1, features // 8, stride=2, first=1, rest=1)
        net["layer3"] = stage(depth, 2, features // 4, stride=1, first=1, rest=2)
        net["layer4"] = stage(depth, 3, features // 2, stride=1, first=2, rest=4)
        self.backbone = net
        head = self.decode_head = nn.ModuleDict()
        head["conv_seg"] = nn.Conv2d(channels, classes, 1)
        head["psp_modules"] = nn.ModuleList()
        for b in BINS:
            level = nn.Sequential(nn.AdaptiveAvgPool2d(b), ConvModule(features, channels, 1))
            head["psp_modules"].append(level)
        head["bottleneck"] = ConvModule(features + 4 * channels, channels, 3)
        head = self.auxiliary_head = nn.ModuleDict()
        head["conv_seg"] = nn.Conv2d(channels // 2, classes, 1)
        head["convs"] = nn.Sequential(ConvModule(features // 2, channels // 2, 3))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and auxiliary logits (N, classes, H, W) of images of any size."""
        size, net, head, second = image.shape[2:], *self.children()
        x = net["stem"](image) if "stem" in net else F.relu(net["bn1"](net["conv1"](image)))
        stage4 = net["layer3"](net["layer2"](net["layer1"](F.max_pool2d(x, 3, 2, 1))))
        x = net["layer4"](stage4)
        levels = [resized(level(x), x.shape[2:], False) for level in head["psp_modules"]]
        logits = head["conv_seg"](head["bottleneck"](torch.cat([x, *levels], dim=1)))
        auxiliary = second["conv_seg"](second["convs"](stage4))
        return resized(logits, size, False), resized(auxiliary, size, False)

    def loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy, 0 at label 255, averaged over all pixels (`avg_non_ignore=False`)."""
        return F.cross_entropy(logits, label, ignore_index=255, reduction="none").mean()


def fill(network: nn.Module, seed: int, input_scale: float = 1.0) -> None:
    """Random weights and BN statistics under which activations stay near 1 through any depth.

    `input_scale` is the standard deviation of the images. The last BN of a residual branch has a
    slope of about 0.3, or the sum would double with every block.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor: Tensor, low: float, high: float) -> None:
        tensor.copy_(torch.empty(tensor.shape).uniform_(low, high, generator=generator))

    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d):
                scale = input_scale if module.in_channels == 3 else 1.0
                bound = (6 / module.weight[0].numel()) ** 0.5 / scale
                uniform(module.weight, -bound, bound)  # variance 2 / fan-in
                if module.bias is not None:
                    uniform(module.bias, -0.5, 0.5)
            elif isinstance(module, nn.BatchNorm2d):
                last = name.endswith(("bn3", "1x1_increase/bn"))
                uniform(module.weight, 0.5, 1.5)
                module.weight.mul_(0.3 if last else 1.0)
                uniform(module.bias, -0.3, 0.3)
                uniform(module.running_mean, -0.5, 0.5)
                uniform(module.running_var, 0.5, 2.0)
