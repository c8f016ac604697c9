"""Scores without parts of the pyramid's output, and the intervals of the losses."""

import numpy as np
import pytest
import torch

from pspnet import PSPNet
from pspnet.inference.class_scores import predict
from pspnet.inference.protocols import Protocol
from pspnet.tools.explain.pyramid_ablation import ablate, loss_intervals
from pspnet.tools.explain.pyramid_parts import NOTHING, ONE_PASS, ablated, part_widths, variants

WINDOWS = Protocol("paper-ss", crop_size=(41, 41), mirror=True)


@pytest.mark.parametrize("protocol", [ONE_PASS, WINDOWS], ids=["whole", "windows"])
def test_matrices_and_counts_are_those_of_the_predictions(protocol):
    torch.manual_seed(0)
    network = PSPNet(3, encoder="tu-resnet10n", decoder_channels=8, bins=(1, 2)).eval()
    torch.nn.init.normal_(network.decoder[4].weight)
    pairs = [(torch.randn(3, *size), torch.randint(0, 3, size)) for size in ((65, 65), (41, 50))]
    pairs[0][1][:9] = 255
    means = {name: torch.rand(width) for name, width in part_widths(network).items()}
    found = ablate(network, pairs, means, protocol)
    assert set(found.counts) == set(variants(network))
    for (name, replacement), matrix in found.matrices.items():
        expected = np.zeros((3, 3))
        for index, (image, label) in enumerate(pairs):
            values = means if replacement == "mean" else None
            with torch.no_grad(), ablated(network, variants(network)[name], values):
                guess = predict(network, image[None], protocol)[0][0].numpy()
            own = np.zeros((3, 3))
            for target, predicted in zip(label.numpy().ravel(), guess.ravel(), strict=True):
                if target != 255:
                    own[target, predicted] += 1
            expected += own
            if replacement == "mean":
                kept = np.stack([own.diagonal(), own.sum(0), own.sum(1)])
                np.testing.assert_array_equal(found.counts[name][index], kept)
        np.testing.assert_array_equal(matrix.numpy(), expected)
    assert not torch.equal(found.matrices["bin 1", "mean"], found.matrices["bin 1", "zero"])
    assert torch.equal(found.matrices[NOTHING, "mean"], found.matrices[NOTHING, "zero"])


def counts(right, *, of=100):
    """Counts of images with `of` pixels of each of 3 classes, `right` of which are found."""
    right = np.asarray(right)
    return np.stack([right, right, np.full_like(right, of)], 1)


def test_intervals_hold_the_loss_and_narrow_with_the_images():
    generator = np.random.default_rng(1)
    widths = []
    for images in (20, 2000):
        before = generator.integers(60, 100, (images, 3))
        after = before - np.array([0, 20, 0]) - generator.integers(-5, 6, (images, 3))
        found = {NOTHING: counts(before), "bin 1": counts(after)}
        low, high = loss_intervals(found, "bin 1")
        loss = (before.sum(0) - after.sum(0)) / (100 * images)
        assert (low <= loss).all()
        assert (loss <= high).all()
        assert low[1] > 0.15
        widths.append(high - low)
    np.testing.assert_allclose(widths[0] / widths[1], 10, rtol=0.5)  # as the root of their number


def test_intervals_are_paired_by_image():
    before = np.random.default_rng(1).integers(10, 100, (30, 3))
    low, high = loss_intervals({NOTHING: counts(before), "bin 1": counts(before - 5)}, "bin 1")
    np.testing.assert_allclose([low, high], 0.05)


def test_the_spread_is_that_of_the_mean():
    before = np.random.default_rng(2).integers(10, 100, (400, 3))
    none = np.zeros_like(before)
    low, high = loss_intervals({NOTHING: counts(before), "bin 1": counts(none)}, "bin 1")
    expected = 2 * 1.96 * before.std(0) / 100 / np.sqrt(400)
    np.testing.assert_allclose(high - low, expected, rtol=0.1)


def test_a_class_that_few_images_have_says_nothing():
    before = counts(np.full((40, 3), 50))
    before[:, :, 2] = 0
    before[0, :, 1] = before[1:, :, 1] = 0
    before[0, 2, 1] = 100
    bounds = loss_intervals({NOTHING: before, "bin 1": before}, "bin 1")
    assert np.isnan(bounds[:, 2]).all()
    assert bounds[:, 0] == pytest.approx(0)
