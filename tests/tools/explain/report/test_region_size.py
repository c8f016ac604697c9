"""The claim on small bins and large regions, on losses constructed to hold or refute it."""

from itertools import permutations

import numpy as np
import pytest
from scipy import ndimage, stats

from pspnet.tools.explain.report.region_size import region_sizes, trend


def test_region_sizes_against_scipy():
    generator = np.random.default_rng(0)
    labels = [generator.choice(np.array([0, 1, 2, 255], np.uint8), (20, 31)) for _ in range(3)]
    found = region_sizes(labels, num_classes=4)
    for value in range(3):
        regions = [ndimage.label(label == value, np.ones((3, 3)))[1] for label in labels]
        pixels = sum(int((label == value).sum()) for label in labels)
        assert found[value] == pytest.approx(pixels / sum(regions))
    assert np.isnan(found[3])


SIZES = np.array([10.0, 40, 90, 200, 500, 900, 2000, 4000])
FINE, COARSE = np.array([0, 0.02, 0.05, 0.1]), np.array([0.1, 0.05, 0.02, 0])
NOISE = 0.005 * np.random.default_rng(0).normal(size=(8, 4))
WEIGHT = np.linspace(0, 1, 8)[:, None]


def test_a_claim_that_holds():
    found = trend(WEIGHT * COARSE + (1 - WEIGHT) * FINE + NOISE, SIZES, bins=(1, 2, 3, 6))
    assert found.verdict == "holds"
    assert found.correlation < -0.9
    assert list(found.by_bin) == sorted(found.by_bin, reverse=True)
    assert found.by_bin[0] > 0.9
    assert found.by_bin[-1] < -0.9
    assert found.classes == 8
    assert found.p < 0.01


def test_a_claim_that_is_reversed_whatever_the_order_of_the_bins():
    losses = WEIGHT * FINE + (1 - WEIGHT) * COARSE + NOISE
    found = trend(losses, SIZES, bins=(1, 2, 3, 6))
    turned = trend(losses[:, ::-1], SIZES, bins=(6, 3, 2, 1))
    assert found.verdict == turned.verdict == "reversed"
    assert found.correlation == pytest.approx(turned.correlation)


def test_noise_decides_nothing():
    found = [
        trend(np.random.default_rng(seed).normal(size=(8, 4)), SIZES, bins=(1, 2, 3, 6))
        for seed in range(20)
    ]
    assert sum(claim.verdict == "undecided" for claim in found) >= 17
    assert 0.3 < np.mean([claim.p for claim in found]) < 0.7


def test_p_is_the_share_of_pairings_with_as_strong_a_correlation():
    slopes = np.array([3.0, 1, 0, 5, 2, 4])
    found = trend(np.outer(slopes, [1, 0]), SIZES[:6], bins=(1, 6))
    rho = stats.spearmanr(SIZES[:6], -slopes).statistic
    assert found.correlation == pytest.approx(rho)
    every = [stats.spearmanr(SIZES[:6], order).statistic for order in permutations(slopes)]
    assert found.p == pytest.approx(np.mean(np.abs(every) >= abs(rho) - 1e-9))
    strongest = trend(np.outer(np.arange(5), [1, 0]), SIZES[:5], bins=(1, 6))
    assert strongest.p == pytest.approx(2 / 120)


def test_few_classes_decide_nothing_and_absent_ones_do_not_count():
    losses = WEIGHT * COARSE + (1 - WEIGHT) * FINE
    losses[4:, 0] = np.nan
    found = trend(losses, SIZES, bins=(1, 2, 3, 6))
    assert (found.verdict, found.classes) == ("undecided", 4)
    sizes = np.where(np.arange(8) < 2, np.nan, SIZES)
    assert trend(WEIGHT * COARSE, sizes, bins=(1, 2, 3, 6)).classes == 6
    assert trend(losses[:, :1], SIZES, bins=(1,)) is None
    assert trend(np.zeros((8, 2)), SIZES, bins=(1, 2)).verdict == "undecided"
