"""Effective receptive fields against box filters, whose gradients are known, and a Jacobian."""

import numpy as np
import pytest
import torch
from torch import nn

from pspnet import Dilation, PSPNet
from pspnet.tools.explain.effective import centered, energies, heart, middle, square_of
from pspnet.tools.explain.layouts import LAYOUTS, describe, laid_out


class Boxes(nn.Module):
    """A stand-in for a network: two 3×3 sums of all channels, and a 1×1 in place of a decoder."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.pyramid, self.decoder = nn.Identity(), nn.Conv2d(channels, 1, 1)
        for layer in (self.first, self.second, self.decoder):
            nn.init.ones_(layer.weight)

    def encoder(self, image):
        first = self.first(image)
        return [image, first, self.second(first)]


def test_energy_of_box_filters():
    images = [torch.randn(3, 11, 13) for _ in range(3)]
    found = energies(Boxes(), images)
    assert list(found) == ["stage 1", "stage 2", "decoder"]
    box = np.zeros((11, 13))
    box[4:7, 5:8] = 1
    np.testing.assert_allclose(found["stage 1"], box / 9)
    triangle = np.zeros((11, 13))
    triangle[3:8, 4:9] = np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1]) ** 2
    np.testing.assert_allclose(found["stage 2"], triangle / triangle.sum(), rtol=1e-5)
    np.testing.assert_allclose(found["decoder"], found["stage 2"], rtol=1e-5)
    assert list(energies(Boxes(), images, only=("stage 2",))) == ["stage 2"]


def test_random_signs_estimate_the_sum_over_channels():
    torch.manual_seed(0)
    network, image = Boxes(channels=6), torch.randn(3, 9, 9)
    nn.init.normal_(network.second.weight)
    nn.init.normal_(network.first.weight)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: network.encoder(x)[2][0, :, 4, 4], image[None]
    )  # (6, 1, 3, 9, 9)
    exact = jacobian[:, 0].square().sum((0, 1)).numpy()
    guessed = energies(network, 1000 * [image])["stage 2"]
    np.testing.assert_allclose(guessed, exact / exact.sum(), atol=0.05 * exact.max() / exact.sum())


def test_the_energies_of_images_add_up():
    class Scaled(Boxes):
        def encoder(self, image):
            first = self.first(image * image)
            return [image, first]

    one, other = torch.zeros(2, 3, 9, 9)
    one[:, 3, 4], other[:, 5, 4] = 3, 1
    energy = energies(Scaled(), [one, other])["stage 1"]
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
    assert square_of(energy, share, center=center) == 2 * reach + 1


def test_centered_cuts_or_pads_around_the_middle():
    image = torch.arange(3 * 9 * 9.0).view(3, 9, 9)
    assert torch.equal(centered(image, (5, 9)), image[:, 2:7])
    padded = centered(image, (9, 13))
    assert torch.equal(padded[:, :, 2:11], image)
    assert not padded[:, :, :2].any()
    assert not padded[:, :, 11:].any()
    assert [middle(n) for n in (1, 2, 3, 9)] == [0, 1, 1, 4]


def test_layouts_share_weights_and_half_keeps_the_plain_outputs():
    torch.manual_seed(0)
    network = PSPNet(3, encoder="tu-resnet10n", decoder_channels=8).eval()
    assert network.dilation == Dilation()
    image = torch.randn(1, 3, 65, 129)
    features = {}
    for name, layout in LAYOUTS.items():
        other = laid_out(network, layout)
        assert other.dilation == layout
        assert not other.training
        for key, value in other.state_dict().items():
            assert torch.equal(value, network.state_dict()[key])
        with torch.no_grad():
            features[name] = other.encoder(image)[-1]
    assert [features[name].shape[3] for name in LAYOUTS] == [5, 9, 17, 17]
    half, plain = features["8, first block half"], features["32"]
    torch.testing.assert_close(half[:, :, ::4, ::4], plain, rtol=1e-4, atol=1e-5)


def test_layouts_in_words():
    assert describe(Dilation((1,), (1,))) == "output stride 32"
    words = describe(Dilation((2,), (4, 8), "half", "first"))
    assert words == (
        "output stride 8; stage 4 dilated by 2; stage 5 dilated by 4, 8; first block half; "
        "first convolution of a block alone"
    )


@pytest.mark.parametrize("place", [(0, 0), (3, 7), (8, 2)])
def test_the_heart_of_a_gradient_lies_where_it_lies(place):
    energy = np.full((9, 11), 1e-6)
    energy[place] = 1
    assert heart(energy) == place
    row, column = np.indices((9, 11))
    around = np.exp(-((row - 4) ** 2 + (column - 6) ** 2) / 3)  # even on both sides
    assert heart(around) == (4, 6)


def test_pools_padded_on_one_side_draw_the_gradient_aside():
    """Stage 5 of timm's ResNet-10-T, whose shortcuts average two pixels: 2 + 4 + 4 of them."""
    network = PSPNet(2, encoder="tu-resnet10t", decoder_channels=8).eval()
    image = torch.randn(3, 65, 193, generator=torch.Generator().manual_seed(0))
    found = heart(energies(network, [image], only=("stage 5",))["stage 5"])
    assert found[1] - 96 == pytest.approx(10, abs=3)
