"""Theoretical receptive fields against NaNs and gradients, which reach wherever a unit looks."""

import math

import pytest
import torch
from torch import nn

from pspnet import Dilation, PSPNet
from pspnet.tools.explain.layer_table import growth, parts_of, stage_features, trace_layers
from pspnet.tools.explain.receptive_field import Extent, ReceptiveField, union
from pspnet.tools.explain.tracing.receptive_fields import ReceptiveFields


class Residual(nn.Module):
    """A block whose shortcut is narrower than its path, with a normalization and a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(3, 3, 3, padding=1, stride=2),
            nn.BatchNorm2d(3),
            nn.ReLU(inplace=True),
            nn.Conv2d(3, 3, 3, padding=2, dilation=2),
        )
        self.shortcut = nn.Conv2d(3, 3, 1, stride=2)

    def forward(self, x):
        y = self.path(x)
        y += self.shortcut(x)
        return torch.relu_(y)


class Pointwise(nn.Module):
    """Normalize and mix with the channels last, as ConvNeXt does."""

    def forward(self, x):
        y = x.permute(0, 2, 3, 1)
        y = torch.layer_norm(y, y.shape[-1:])
        return y.permute(0, 3, 1, 2).contiguous()


class Branches(nn.Module):
    """Parallel branches of several widths: split channels, concatenated, summed, sliced."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(2, 2, (1, 5), padding=(0, 2))
        self.wide = nn.Conv2d(2, 2, 3, padding=4, dilation=4)
        self.shift = nn.AvgPool2d(2, stride=1)

    def forward(self, x):
        x = torch.cat([x, x[:, :1]], 1)
        one, two = x.chunk(2, 1)
        both = torch.cat([self.narrow(one), self.wide(two) + two], 1)
        bordered = torch.cat([both, both[:, :, -1:]], 2)
        bordered = torch.cat([bordered, bordered[..., -1:]], dim=3)
        return (self.shift(bordered) + both)[:, :, 1:, ::2]


NETWORKS = {
    "strides and dilations": lambda: nn.Sequential(
        nn.Conv2d(3, 2, 7, stride=2, padding=3),
        nn.Conv2d(2, 2, 3, padding=4, dilation=4),
        nn.Conv2d(2, 3, 3, stride=2, padding=1),
    ),
    "rows unlike columns": lambda: nn.Conv2d(3, 1, (1, 5), stride=(2, 1), padding=(0, 2)),
    "padding on one side": lambda: nn.Sequential(nn.ZeroPad2d((0, 3, 2, 1)), nn.Conv2d(3, 2, 4)),
    "same padding": lambda: nn.Sequential(
        nn.Conv2d(3, 2, 4, padding="same", dilation=2), nn.Conv2d(2, 2, 3, padding="valid")
    ),
    "pools": lambda: nn.Sequential(
        nn.MaxPool2d(3, stride=2, padding=1), nn.AvgPool2d(2), nn.MaxPool2d(2, 1, dilation=3)
    ),
    "residual": lambda: nn.Sequential(Residual(), Residual()),
    "parallel branches": Branches,
    "channels last": lambda: nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), Pointwise()),
}


def assert_exact(network, field, unit, *, size, run):
    """The unit depends on the first and last pixel of its field, and on none outside of it."""
    axes = zip((field.rows, field.columns), unit, size, (2, 3), strict=True)
    for extent, place, side, axis in axes:
        low, high = within(extent, place, side)
        outside = torch.ones(1, 3, *size, dtype=torch.float64)
        outside.narrow(axis, 0, low).fill_(math.nan)
        outside.narrow(axis, high + 1, side - 1 - high).fill_(math.nan)
        assert run(network, outside)[0, :, unit[0], unit[1]].isfinite().all()
        for edge in (low, high):
            image = torch.ones(1, 3, *size, dtype=torch.float64)
            image.narrow(axis, edge, 1).fill_(math.nan)
            assert run(network, image)[0, :, unit[0], unit[1]].isnan().any()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_field_is_what_a_unit_depends_on(name):
    network, size = NETWORKS[name]().double().eval(), (41, 57)
    image = torch.zeros(1, 3, *size, dtype=torch.float64)
    with ReceptiveFields(image) as fields, torch.no_grad():
        output = network(image)
    unit = (output.shape[2] // 2, output.shape[3] // 2)
    field = fields.of(output)
    assert field.size[0] < size[0]  # otherwise the image, not the field, would be tested
    assert field.size[1] < size[1]
    with torch.no_grad():
        assert_exact(network, field, unit, size=size, run=lambda net, x: net(x))


class AllMax(nn.Module):
    """A max pool's window with equal weights, so that every pixel in it has a gradient."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x):
        kernel, stride, padding, dilation = (
            torch.nn.modules.utils._pair(value)
            for value in (
                self.pool.kernel_size,
                self.pool.stride,
                self.pool.padding,
                self.pool.dilation,
            )
        )
        weight = torch.ones(x.shape[1], 1, *kernel, dtype=x.dtype) / (kernel[0] * kernel[1])
        x = x.clamp(min=0)  # a max pool's padding is minus infinity
        return nn.functional.conv2d(x, weight, None, stride, padding, dilation, x.shape[1])


def all_positive(network):
    """In float64 every path from a pixel to a unit adds to the gradient, and none cancels."""
    network = network.double().eval()
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.MaxPool2d):
            network.set_submodule(name, AllMax(module))
        elif isinstance(module, nn.ReLU6):  # beyond 6 it has no gradient
            network.set_submodule(name, nn.ReLU())
        elif isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            nn.init.constant_(module.weight, 1 / fan_in)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):  # timm starts residual branches switched off
            nn.init.ones_(module.weight)
    return network


def gradient_support(output, image, unit):
    """First and last row and column with a gradient of one unit."""
    (gradient,) = torch.autograd.grad(
        output[0, :, unit[0], unit[1]].sum(), image, retain_graph=True
    )
    assert (gradient >= 0).all()
    seen = gradient[0].sum(0) > 0
    rows, columns = (seen.any(axis).nonzero().flatten() for axis in (1, 0))
    return tuple((int(places[0]), int(places[-1])) for places in (rows, columns))


def within(extent, place, side):
    low, high = (int(place * extent.stride + bound) for bound in (extent.first, extent.last))
    return max(low, 0), min(high, side - 1)


@pytest.mark.parametrize(
    ("encoder", "dilation"),
    [
        ("tu-resnet10t", Dilation((2,), (4,))),  # shortcuts with an average pool
        ("tu-resnet10t", Dilation((1,), (1,))),
        ("tu-resnet10n", Dilation((1,), (2,), "half")),
        ("resnet18", Dilation((2,), (4,))),
        ("vgg11", Dilation((2,), (4,))),  # no branches, pools that lost their stride
        ("tu-regnetx_002", Dilation((2,), (4,))),
        pytest.param("tu-resnet50d", Dilation((1,), (1,)), marks=pytest.mark.slow),
        ("mobilenet_v2", Dilation((1,), (2,))),  # depthwise, sums without a layer behind them
        ("tu-tf_efficientnet_lite0", Dilation((1,), (1,))),
    ],
)
def test_the_field_of_encoders_against_gradients(encoder, dilation):
    network = PSPNet(2, encoder=encoder, decoder_channels=4, dilation=dilation)
    encoder, size = all_positive(network.encoder), (33, 545)
    image = torch.ones(1, 3, *size, dtype=torch.float64, requires_grad=True)
    with ReceptiveFields(image) as fields:
        features = stage_features(encoder(image))
    widths = []
    for name in ("stage 2", "stage 3", "stage 4", "stage 5"):
        field, unit = fields.of(features[name]), [side // 2 for side in features[name].shape[2:]]
        expected = tuple(
            within(extent, place, side)
            for extent, place, side in zip((field.rows, field.columns), unit, size, strict=True)
        )
        assert gradient_support(features[name], image, unit) == expected
        widths.append(field.size[1])
    assert math.isfinite(widths[-1])
    assert widths == sorted(widths)


@pytest.mark.parametrize("encoder", ["tu-resnet10t", "resnet18", "vgg11", "mobilenet_v2"])
def test_growth_never_decreases_and_ends_at_the_last_stage(encoder):
    layers = trace_layers(PSPNet(2, encoder=encoder, decoder_channels=4), size=(65, 65))
    line = growth(layers)
    assert line == sorted(line)
    stages = {part.name: part.field for part in parts_of(layers)}
    assert line[-1] == stages["stage 5"].size[0]
    assert len(line) == stages["stage 5"].depth


def test_a_narrow_shortcut_leaves_growth_alone():
    """Stage 3 of ResNet-10-T: its shortcut's 2×2 pool sees 35 pixels, its path 39, then 55."""
    line = growth(trace_layers(PSPNet(2, encoder="tu-resnet10t"), size=(65, 65)))
    assert line == [3, 7, 11, 15, 23, 31, 39, 55, 87, 119, 183, 247]


def test_the_union_of_fields_holds_them_all():
    one = ReceptiveField(Extent(2, -3, 5), Extent(2, 0, 0), depth=4)
    other = ReceptiveField(Extent(2, -1, 8), Extent(2, -2, -1), depth=2)
    assert union([one, other]) == ReceptiveField(Extent(2, -3, 8), Extent(2, -2, 0), depth=4)


@pytest.mark.parametrize(
    "whole",
    [
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveMaxPool2d(1),
        nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.AdaptiveAvgPool2d((1, 1))),
        nn.Flatten(),
    ],
)
def test_what_loses_its_extent_sees_the_whole_image(whole):
    image = torch.zeros(1, 3, 20, 30)
    with ReceptiveFields(image) as fields, torch.no_grad():
        pooled = whole(image)
        again = pooled.mean() + image  # as a gate acts on what it gates
    for tensor in (pooled, again):
        assert fields.of(tensor).size == (math.inf, math.inf)
    assert fields.of(again).rows.stride == 1
