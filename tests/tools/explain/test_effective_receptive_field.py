"""Effective receptive fields against box filters, whose gradients are known, and a Jacobian."""

import numpy as np
import pytest
import torch
from torch import nn

from pspnet import PSPNet
from pspnet.tools.explain.effective_receptive_field import (
    LOGITS,
    gradient_energies,
    median_pixel,
    middle,
    share_within,
    square_side,
)


class Encoder(nn.Module):
    """Two 3×3 sums of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, image):
        first = self.first(image)
        return [image, image[:, :0], image[:, :0], image[:, :0], first, self.second(first)]


class Boxes(nn.Module):
    """A stand-in for a network: an encoder, and a 1×1 in place of a decoder."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(channels), nn.Conv2d(channels, 1, 1)
        for layer in (self.encoder.first, self.encoder.second, self.decoder):
            nn.init.ones_(layer.weight)

    def forward(self, image):
        return self.decoder(self.encoder(image)[-1])


def test_energy_of_box_filters():
    images = [torch.randn(3, 11, 13) for _ in range(3)]
    found = gradient_energies(Boxes(), images)
    assert list(found) == ["stage 4", "stage 5", LOGITS]
    box = np.zeros((11, 13))
    box[4:7, 5:8] = 1
    np.testing.assert_allclose(found["stage 4"], box / 9)
    triangle = np.zeros((11, 13))
    triangle[3:8, 4:9] = np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1]) ** 2
    np.testing.assert_allclose(found["stage 5"], triangle / triangle.sum(), rtol=1e-5)
    np.testing.assert_allclose(found[LOGITS], found["stage 5"], rtol=1e-5)
    assert list(gradient_energies(Boxes(), images, only=("stage 5",))) == ["stage 5"]


def test_random_signs_estimate_the_sum_over_channels():
    torch.manual_seed(0)
    network, image = Boxes(channels=6), torch.randn(3, 9, 9)
    nn.init.normal_(network.encoder.second.weight)
    nn.init.normal_(network.encoder.first.weight)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: network.encoder(x)[-1][0, :, 4, 4], image[None]
    )  # (6, 1, 3, 9, 9)
    exact = jacobian[:, 0].square().sum((0, 1)).numpy()
    guessed = gradient_energies(network, 1000 * [image])["stage 5"]
    np.testing.assert_allclose(guessed, exact / exact.sum(), atol=0.05 * exact.max() / exact.sum())


def test_the_energies_of_images_are_added():
    class Scaled(Encoder):
        def forward(self, image):
            return [self.first(image * image)]

    network = Boxes()
    scaled = Scaled(1)
    nn.init.ones_(scaled.first.weight)
    network.encoder = scaled
    one, other = torch.zeros(2, 3, 9, 9)
    one[:, 3, 4], other[:, 5, 4] = 3, 1
    energy = gradient_energies(network, [one, other])["stage 5"]
    assert (energy[3, 4], energy[5, 4]) == (pytest.approx(0.9), pytest.approx(0.1))


@pytest.mark.parametrize("center", [(5, 7), (0, 0), (10, 3)])
@pytest.mark.parametrize("share", [0.5, 0.95, 1.0])
def test_square_against_loops(center, share):
    energy = np.random.default_rng(0).random((11, 13)) ** 4
    held, reach = 0.0, -1
    while held < share * energy.sum() * (1 - 1e-9):
        reach += 1
        rows, columns = np.indices(energy.shape)
        near = (abs(rows - center[0]) <= reach) & (abs(columns - center[1]) <= reach)
        held = energy[near].sum()
    side = square_side(energy, share, center=center)
    assert side == 2 * reach + 1
    assert share_within(energy, side, center=center) == pytest.approx(held / energy.sum())


def test_the_middle_unit_is_the_later_of_two():
    assert [middle(n) for n in (1, 2, 3, 9)] == [0, 1, 1, 4]


def test_the_network_runs_as_it_stands():
    images = [torch.randn(3, 11, 13)]
    network = Boxes()
    plain = gradient_energies(network, images)
    with network.encoder.first.register_forward_hook(lambda _, __, y: y * (y > y.mean())):
        hooked = gradient_energies(network, images)
    assert not np.allclose(hooked["stage 5"], plain["stage 5"])
    assert not network.encoder._forward_hooks


def test_features_without_a_gradient_and_other_outputs_have_no_energy():
    class Detached(Encoder):
        def forward(self, image):
            first = self.first(image)
            return [first.detach(), self.second(first)]

    class Single(Encoder):
        def forward(self, image):
            return {"features": self.second(self.first(image))}

    network, images = Boxes(), [torch.randn(3, 11, 13)]
    network.encoder = Detached(1)
    assert list(gradient_energies(network, images)) == ["stage 5", LOGITS]
    network.encoder = Single(1)
    network.forward = lambda image: network.decoder(network.encoder(image)["features"])
    assert list(gradient_energies(network, images)) == [LOGITS]


@pytest.mark.parametrize("place", [(0, 0), (3, 7), (8, 2)])
def test_the_median_pixel_halves_the_energy(place):
    energy = np.full((9, 11), 1e-6)
    energy[place] = 1
    assert median_pixel(energy) == place
    row, column = np.indices((9, 11))
    around = np.exp(-((row - 4) ** 2 + (column - 6) ** 2) / 3)  # even on both sides
    assert median_pixel(around) == (4, 6)


def test_pools_padded_on_one_side_draw_the_gradient_aside():
    """Stage 5 of timm's ResNet-10-T, whose shortcuts average two pixels: 2 + 4 + 4 of them."""
    network = PSPNet(2, encoder="tu-resnet10t", decoder_channels=8).eval()
    image = torch.randn(3, 65, 193, generator=torch.Generator().manual_seed(0))
    found = median_pixel(gradient_energies(network, [image], only=("stage 5",))["stage 5"])
    assert found[1] - 96 == pytest.approx(10, abs=3)
