"""Theoretical receptive fields against NaNs, which go wherever a unit looks."""

import math

import pytest
import torch
from torch import nn

from pspnet import Dilation, PSPNet
from pspnet.tools.explain.reach import Reaches


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
    """What ConvNeXt does: normalizes and mixes with the channels last."""

    def forward(self, x):
        y = x.permute(0, 2, 3, 1)
        y = torch.layer_norm(y, y.shape[-1:])
        return y.permute(0, 3, 1, 2).contiguous()


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
    "channels last": lambda: nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), Pointwise()),
}


def assert_exact(network, field, unit, *, size, run):
    """The unit depends on the first and last pixel of its field, and on none outside of it."""
    axes = zip(field, unit, size, (2, 3), strict=True)
    for reach, place, side, axis in axes:
        low, high = (int(place * reach.jump + bound) for bound in (reach.low, reach.high))
        low, high = max(low, 0), min(high, side - 1)
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
    with Reaches(image) as reaches, torch.no_grad():
        output = network(image)
    unit = (output.shape[2] // 2, output.shape[3] // 2)
    field = reaches.of(output)
    assert field[0].side < size[0]  # else the image, not the field, would be tested
    assert field[1].side < size[1]
    with torch.no_grad():
        assert_exact(network, field, unit, size=size, run=lambda net, x: net(x))


@pytest.mark.parametrize(
    ("encoder", "dilation"),
    [
        ("tu-resnet10n", Dilation((2,), (4,))),
        ("tu-resnet10n", Dilation((1,), (2,), "half")),
        ("tu-resnet10n", Dilation((1,), (1,))),
        ("vgg11", Dilation((2,), (4,))),
    ],
)
def test_the_field_of_encoders_in_every_layout(encoder, dilation):
    torch.manual_seed(0)
    network = PSPNet(2, encoder=encoder, decoder_channels=4, dilation=dilation).double().eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):  # timm starts residual branches switched off
            nn.init.ones_(layer.weight)
    size = (33, 289)
    image = torch.zeros(1, 3, *size, dtype=torch.float64)
    with Reaches(image) as reaches, torch.no_grad():
        features = network.encoder(image)
    fields = [reaches.of(feature) for feature in features[3:]]
    assert [math.isfinite(field[1].side) for field in fields] == [True] * 3
    with torch.no_grad():
        for number, field in enumerate(fields, start=3):
            unit = tuple(side // 2 for side in features[number].shape[2:])
            run = lambda net, x, number=number: net.encoder(x)[number]  # noqa: E731
            assert_exact(network, field, unit, size=size, run=run)


@pytest.mark.parametrize(
    "whole",
    [
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveMaxPool2d(3),
        nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.AdaptiveAvgPool2d(6)),
        nn.Flatten(),
    ],
)
def test_what_loses_its_extent_sees_the_whole_image(whole):
    image = torch.zeros(1, 3, 20, 30)
    with Reaches(image) as reaches, torch.no_grad():
        pooled = whole(image)
        again = pooled.mean() + image  # as a gate acts on what it gates
    for tensor in (pooled, again):
        assert [reach.side for reach in reaches.of(tensor)] == [math.inf, math.inf]
    assert reaches.of(again)[0].jump == 1
