"""The quality of labels against loops over all pixels."""

import math

import pytest
import torch

from pspnet.evaluation.label_quality import PIXELS, label_probability, label_quality, softmin
from pspnet.inference.class_scores import probabilities
from pspnet.inference.protocols import Protocol
from pspnet.inference.single_pass import FeatureLogits

PASS, FLIPPED = (
    Protocol("whole", average="scores"),
    Protocol("whole", average="softmax", mirror=True),
)


def features(size, *, window=None):
    torch.manual_seed(0)
    window = window or tuple(slice(0, side) for side in size)
    return FeatureLogits(3 * torch.randn(2, 5, 6, 8), size, window, align_corners=True)


def test_softmin_against_a_loop():
    values = torch.rand(50, dtype=torch.float64).tolist()
    weights = [math.exp((1 - it) / 0.1) for it in values]  # as cleanlab: softmax of 1 - value
    expected = sum(w * it for w, it in zip(weights, values, strict=True)) / sum(weights)
    assert softmin(torch.tensor(values)) == pytest.approx(expected, rel=1e-5)
    assert softmin(torch.full((9,), 0.25)) == pytest.approx(0.25)
    assert math.isnan(softmin(torch.zeros(0)))


@pytest.mark.parametrize("protocol", [PASS, FLIPPED])
def test_the_probability_is_that_of_each_label(protocol):
    low = features((45, 63), window=(slice(2, 42), slice(1, 61)))
    scores = low if protocol is PASS else low.upsample().softmax(1)
    target = torch.randint(5, (2, 40, 60))
    target[:, :3] = 255
    found = label_probability(scores, 1, target[1], protocol)
    shares = probabilities(scores, protocol)[1]
    expected = [
        shares[target[1, row, column], row, column] for row in range(3, 40) for column in range(60)
    ]
    torch.testing.assert_close(found, torch.stack(expected))


def test_a_large_image_counts_on_a_grid():
    low = features((400, 500))
    target = torch.randint(5, (400, 500))
    found = label_probability(low, 0, target, PASS)
    stride = 7
    shares = probabilities(low, PASS)[0, :, 3::stride, 3::stride]
    expected = shares.gather(0, target[None, 3::stride, 3::stride])[0].flatten()
    torch.testing.assert_close(found, expected)
    assert PIXELS / 2 < len(found) <= PIXELS + 71 + 57  # a row and a column of the grid


def test_a_wrong_region_lowers_the_quality():
    low = features((65, 97))
    right = low.argmax()[0].long()
    wrong = right.clone()
    wrong[20:30, 30:50] = (wrong[20:30, 30:50] + 1) % 5
    assert label_quality(low, 0, wrong, PASS) < label_quality(low, 0, right, PASS)
    assert math.isnan(label_quality(low, 0, torch.full_like(right, 255), PASS))
