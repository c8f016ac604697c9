"""Scores of blocks are those of the entire image, whatever the memory and the file's tiles."""

import pytest
import torch

from pspnet.inference.class_scores import evaluate, label_blocks
from pspnet.inference.protocols import Protocol
from pspnet.inference.score_blocks import score_blocks
from pspnet.models.pspnet import PSPNet


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return PSPNet(3, encoder="tu-resnet10t", decoder_channels=8, auxiliary=False).eval()


@pytest.mark.parametrize(
    ("size", "protocol"),
    [
        ((150, 131), Protocol("slide", crop_size=(41, 33), mirror=True)),
        ((30, 131), Protocol("slide", crop_size=(41, 33))),  # padded
        pytest.param(
            (150, 131),
            Protocol("scaled", crop_size=(41, 33), base_size=97, scales=(0.5, 1.5)),
            marks=pytest.mark.slow,
        ),
        ((60, 70), Protocol("fitted", crop_size=(41, 33), fit=(111, 90), average="scores")),
        (
            (30, 131),
            Protocol("mmseg", crop_size=(41, 33), mirror=True, scales=(1.0, 1.2), rules="mmseg"),
        ),
    ],
)
@pytest.mark.parametrize("multiple", [1, 16])
@torch.no_grad()
def test_blocks_are_the_image(network, size, protocol, multiple):
    image = torch.randn(1, 3, *size)
    expected = evaluate(network, image, protocol)[0]
    found, parts = torch.full_like(expected, torch.nan), 0

    def read(rows, columns):
        return image[0, :, rows, columns]

    for block in score_blocks(network, read, size, protocol, memory=40_000, multiple=multiple):
        assert block.columns.start % multiple == 0
        assert found[:, block.rows, block.columns].isnan().all()
        assert block.scores.numel() * 4 <= 90_000
        found[:, block.rows, block.columns] = block.scores
        parts += 1
    assert parts > 1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_labels_and_confidence_of_blocks(network):
    image = torch.randn(1, 3, 90, 70)
    protocol = Protocol("slide", crop_size=(41, 33))
    probabilities = evaluate(network, image, protocol)[0]
    for block in label_blocks(
        network, lambda rows, columns: image[0, :, rows, columns], (90, 70), protocol, memory=40_000
    ):
        part = probabilities[:, block.rows, block.columns]
        torch.testing.assert_close(block.confidence, part.amax(0))
        torch.testing.assert_close(block.label.long(), part.argmax(0))
