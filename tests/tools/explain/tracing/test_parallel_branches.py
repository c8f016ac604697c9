"""Receptive fields of parallel branches against gradients of every unit, which no rule enters."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pspnet.tools.explain.tracing.receptive_fields import ReceptiveFields

SIZE = (28, 44)


class Sum(nn.Module):
    """The sum of branches."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.stack([branch(x) for branch in self.branches]).sum(0)


class Concatenation(Sum):
    """The channels of all branches."""

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class Resize(nn.Module):
    """A resize to a multiple of the height and width."""

    def __init__(self, factor: float, mode: str, **options) -> None:
        super().__init__()
        self.factor, self.options = factor, {"mode": mode, **options}

    def forward(self, x):
        return F.interpolate(x, [int(self.factor * n) for n in x.shape[2:]], **self.options)


def conv(inputs, kernel, *, stride=1, dilation=1, groups=1, outputs=2, transposed=False):
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = tuple((side - 1) * dilation // 2 for side in kernel)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return kind(inputs, outputs, kernel, **options)


def shortcut(*, last):
    """Stage 3 of a ResNet-D: an average pool before the 1×1 of a shortcut, which may run last."""
    path = nn.Sequential(conv(3, 3, stride=2), nn.ReLU(), conv(2, 3))
    short = nn.Sequential(nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False), conv(3, 1))
    return Sum(path, short) if last else Sum(short, path)


def unet(up, inputs=2):
    """A map of half the size beside one of the full size, and a convolution over both."""
    low = nn.Sequential(conv(3, 3, stride=2), conv(2, 3), up)
    return nn.Sequential(Concatenation(conv(3, 3), low), conv(2 + inputs, 3))


EVERY = {
    "shortcut with an average pool": lambda: nn.Sequential(shortcut(last=True), conv(2, 3)),
    "shortcut that runs first": lambda: nn.Sequential(shortcut(last=False), conv(2, 3)),
    "dilations side by side": lambda: Concatenation(
        conv(3, 1), conv(3, 3, dilation=2), conv(3, 3, dilation=5), conv(3, 3, dilation=3)
    ),
    "Inception": lambda: Concatenation(
        nn.Sequential(conv(3, 1), conv(2, (1, 7)), conv(2, (7, 1))),
        nn.Sequential(conv(3, 1), conv(2, 3), conv(2, 3)),
        nn.Sequential(nn.AvgPool2d(3, 1, padding=1), conv(3, 1)),
    ),
    "depthwise beside pointwise": lambda: Sum(
        nn.Sequential(conv(3, 5, stride=2, groups=3, outputs=3), conv(3, 1)),
        conv(3, 1, stride=2),
    ),
    "branches that lean to different sides": lambda: Sum(
        nn.Sequential(nn.ZeroPad2d((4, 0, 2, 0)), nn.Conv2d(3, 2, (3, 5))),
        nn.Sequential(nn.ZeroPad2d((0, 3, 0, 1)), nn.Conv2d(3, 2, (2, 4))),
    ),
}
SOME = {  # the extent holds for all units, and some of them need all of it
    "nearest": lambda: Resize(2, "nearest"),
    "nearest, down": lambda: Resize(0.25, "nearest-exact"),
    "bilinear": lambda: Resize(2, "bilinear"),
    "bilinear by 1.5": lambda: nn.Sequential(conv(3, 3), Resize(1.5, "bilinear")),
    "bilinear, down": lambda: Resize(0.5, "bilinear"),
    "bicubic": lambda: Resize(2, "bicubic"),
    "area": lambda: Resize(0.25, "area"),
    "corners aligned": lambda: Resize(2, "bilinear", align_corners=True),
    "transposed": lambda: nn.Sequential(
        conv(3, 3, stride=2), conv(2, 4, stride=2, transposed=True)
    ),
    "adaptive pool": lambda: nn.Sequential(conv(3, 3), nn.AdaptiveAvgPool2d((5, 6))),
    "U-Net, nearest": lambda: unet(Resize(2, "nearest")),
    "U-Net, bilinear": lambda: unet(Resize(2, "bilinear")),
    "U-Net, transposed": lambda: unet(conv(2, 2, stride=2, transposed=True)),
}
LOOSE = {  # strides differ where branches meet, so that no extent fits all units
    "U-Net, corners aligned": lambda: unet(Resize(2, "bilinear", align_corners=True)),
    "pyramid": lambda: Concatenation(
        conv(3, 3), nn.Sequential(nn.AdaptiveAvgPool2d((7, 11)), Resize(4, "bilinear"))
    ),
    "pyramid, corners aligned": lambda: Concatenation(
        conv(3, 3),
        nn.Sequential(nn.AdaptiveAvgPool2d((7, 11)), Resize(4, "bilinear", align_corners=True)),
    ),
}


def trace(network):
    """Return image, output and field with weights whose gradients cannot cancel."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.constant_(module.weight, 0.1)
            nn.init.constant_(module.bias, 0.1)
    image = torch.ones(1, 3, *SIZE, dtype=torch.float64, requires_grad=True)
    with ReceptiveFields(image) as fields:
        output = network.double()(image)
    return image, output, fields.of(output)


def spans(image, output, axis):
    """Yield each unit's index along an axis, first and last pixel with a gradient."""
    place = [side // 2 for side in output.shape[2:]]
    for index in range(output.shape[axis]):
        place[axis - 2] = index
        unit = output[0, :, place[0], place[1]].sum()
        (gradient,) = torch.autograd.grad(unit, image, retain_graph=True)
        seen = (gradient[0].abs().sum((0, 4 - axis)) > 1e-12).nonzero().flatten()
        yield index, int(seen[0]), int(seen[-1])


@pytest.mark.parametrize("name", [*EVERY, *SOME, *LOOSE])
def test_the_extent_holds_what_every_unit_depends_on_and_no_more(name):
    image, output, field = trace({**EVERY, **SOME, **LOOSE}[name]())
    for extent, axis in ((field.rows, 2), (field.columns, 3)):
        side, met = image.shape[axis] - 1, []
        for index, first, last in spans(image, output, axis):
            low = math.ceil(index * extent.stride + extent.first - 1e-6)
            high = math.floor(index * extent.stride + extent.last + 1e-6)
            assert low <= first
            assert last <= high
            if low >= 0 and high <= side:  # not cut off by the image
                met.append((low == first, high == last))
        assert met
        if name in EVERY:
            assert all(ends == (True, True) for ends in met)
        if name in SOME:
            assert all(any(reached) for reached in zip(*met, strict=True))


class Modulated(nn.Module):
    """A convolution whose kernel is computed from the image."""

    def forward(self, x):
        kernel = x.mean((2, 3)).reshape(1, 3, 1, 1).expand(2, 3, 3, 3)
        return F.conv2d(x, kernel, padding=1)


class Excited(nn.Module):
    """Channels scaled by what is on the whole image."""

    def forward(self, x):
        return x * F.adaptive_avg_pool2d(x, 1).sigmoid()


class Rolled(nn.Module):
    """Half of the rows on the other side, as shifted windows have it."""

    def forward(self, x):
        return torch.roll(x, 14, 2)


class Written(nn.Module):
    """A part of a map written into another one."""

    def forward(self, x):
        y = torch.zeros_like(x)
        y[:, :, 20:] = x[:, :, :-20]
        return y


@pytest.mark.parametrize("network", [Modulated(), Excited(), Rolled(), Written()])
def test_what_reaches_across_the_image_sees_all_of_it(network):
    assert trace(nn.Sequential(conv(3, 3, outputs=3), network))[2].size[0] == math.inf


def test_channels_written_into_a_map_widen_its_field():
    class Kept(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = conv(1, 5, outputs=1)

        def forward(self, x):
            y = x.clone()
            y[:, 1:2] = self.wide(x[:, 1:2])
            y[:, 2] = 0
            return y

    assert trace(Kept())[2].size == (5, 5)
