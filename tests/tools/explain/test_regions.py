"""The claim on small bins and large things, on losses that were made to hold or refute it."""

import numpy as np
import pytest
from scipy import ndimage, stats

from pspnet.tools.explain.regions import judge, rank_correlation, region_sizes


def test_region_sizes_against_scipy():
    generator = np.random.default_rng(0)
    labels = [generator.choice(np.array([0, 1, 2, 255], np.uint8), (20, 31)) for _ in range(3)]
    found = region_sizes(labels, num_classes=4)
    for value in range(3):
        regions = [ndimage.label(label == value, np.ones((3, 3)))[1] for label in labels]
        pixels = sum(int((label == value).sum()) for label in labels)
        assert found[value] == pytest.approx(pixels / sum(regions))
    assert np.isnan(found[3])


def test_rank_correlation_against_scipy():
    generator = np.random.default_rng(0)
    for _ in range(5):
        one, other = generator.integers(0, 6, (2, 12))  # with ties
        assert rank_correlation(one, other) == pytest.approx(stats.spearmanr(one, other)[0])
    assert np.isnan(rank_correlation(np.ones(5), np.arange(5)))


SIZES = np.array([10.0, 40, 90, 200, 500, 900, 2000, 4000])
FINE, COARSE = np.array([0, 0.02, 0.05, 0.1]), np.array([0.1, 0.05, 0.02, 0])
NOISE = 0.005 * np.random.default_rng(0).normal(size=(8, 4))
WEIGHT = np.linspace(0, 1, 8)[:, None]


def test_a_claim_that_holds():
    claim = judge(WEIGHT * COARSE + (1 - WEIGHT) * FINE + NOISE, SIZES, bins=(1, 2, 3, 6))
    assert claim.verdict == "holds"
    assert claim.trend < -0.9
    assert list(claim.by_bin) == sorted(claim.by_bin, reverse=True)
    assert claim.by_bin[0] > 0.9
    assert claim.by_bin[-1] < -0.9
    assert claim.classes == 8
    assert claim.chance < 0.01


def test_a_claim_that_is_reversed_whatever_the_order_of_the_bins():
    losses = WEIGHT * FINE + (1 - WEIGHT) * COARSE + NOISE
    claim = judge(losses, SIZES, bins=(1, 2, 3, 6))
    turned = judge(losses[:, ::-1], SIZES, bins=(6, 3, 2, 1))
    assert claim.verdict == turned.verdict == "reversed"
    assert claim.trend == pytest.approx(turned.trend)


def test_noise_decides_nothing():
    found = [
        judge(np.random.default_rng(seed).normal(size=(8, 4)), SIZES, bins=(1, 2, 3, 6))
        for seed in range(20)
    ]
    assert sum(claim.verdict == "undecided" for claim in found) >= 17
    assert 0.3 < np.mean([claim.chance for claim in found]) < 0.7


def test_chance_is_that_of_every_pairing():
    """Of 5 classes in perfect order 2 of 120 pairings are as strong."""
    losses = np.outer(np.arange(5), [1, 0])
    claim = judge(losses, SIZES[:5], bins=(1, 6))
    assert claim.trend == pytest.approx(-1)
    assert claim.chance == pytest.approx(2 / 120)


def test_few_classes_decide_nothing_and_absent_ones_do_not_count():
    losses = WEIGHT * COARSE + (1 - WEIGHT) * FINE
    losses[4:, 0] = np.nan
    claim = judge(losses, SIZES, bins=(1, 2, 3, 6))
    assert (claim.verdict, claim.classes) == ("undecided", 4)
    sizes = np.where(np.arange(8) < 2, np.nan, SIZES)
    assert judge(WEIGHT * COARSE, sizes, bins=(1, 2, 3, 6)).classes == 6
    assert judge(losses[:, :1], SIZES, bins=(1,)) is None
    assert judge(np.zeros((8, 2)), SIZES, bins=(1, 2)).verdict == "undecided"
