"""Padding: central, with the mean colour, and cut away again."""

import pytest
import torch

from pspnet import Dilation, PSPNet
from pspnet.inference import pad_centrally, whole


@pytest.mark.parametrize(
    ("size", "multiple", "smallest", "expected", "corner"),
    [
        ((33, 41), 8, 32, (33, 41), (0, 0)),
        ((34, 40), 8, 32, (41, 41), (3, 0)),
        ((20, 50), 8, 32, (33, 57), (6, 3)),
        ((20, 50), 1, 32, (32, 50), (6, 0)),
        ((375, 500), 8, 32, (377, 505), (1, 2)),
    ],
)
def test_padding_is_central(size, multiple, smallest, expected, corner):
    image = torch.rand(1, 3, *size) + 1
    padded, (top, left) = pad_centrally(image, multiple=multiple, smallest=smallest)
    assert tuple(padded.shape[2:]) == expected
    assert (top, left) == corner
    assert torch.equal(padded[:, :, top : top + size[0], left : left + size[1]], image)
    assert padded.sum() == pytest.approx(image.sum().item(), rel=1e-5)  # the border is 0: the mean


def test_padding_fits_the_output_stride():
    """At stride 32 the corners of the features lie on pixels at 32n + 1 pixels a side only."""
    plain = Dilation(stage4=(1,), stage5=(1,))
    network = PSPNet(2, encoder="tu-regnetx_002", decoder_channels=8, dilation=plain).eval()
    image = torch.randn(1, 3, 41, 65)
    with torch.no_grad():
        padded = network(torch.nn.functional.pad(image, (0, 0, 12, 12)))
        assert torch.equal(whole(network, image), padded[:, :, 12:53])


@pytest.mark.parametrize("align_corners", [True, False])
def test_logits_of_any_size_come_back_in_that_size(align_corners):
    network = PSPNet(
        3, encoder="tu-regnetx_002", decoder_channels=8, align_corners=align_corners
    ).eval()
    with torch.no_grad():
        for size in ((5, 7), (32, 70), (50, 49)):
            assert whole(network, torch.zeros(1, 3, *size)).shape == (1, 3, *size)
        image = torch.randn(1, 3, 41, 49)
        assert torch.equal(whole(network, image), network(image))
        odd = torch.randn(1, 3, 44, 50)
        padded = torch.nn.functional.pad(odd, (3, 4, 2, 3)) if align_corners else odd
        cut = network(padded)[:, :, 2:46, 3:53] if align_corners else network(padded)
        assert torch.equal(whole(network, odd), cut)
