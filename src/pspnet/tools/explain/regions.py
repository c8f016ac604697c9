"""Whether small bins carry large things: the loss of each class by bin against its regions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import cv2
import numpy as np

Verdict = Literal["holds", "reversed", "undecided"]
SURE = 0.05
ALL = 7  # classes of which every pairing is tried; of more, some at random
RESAMPLES = 9999


def region_sizes(labels: Iterable[np.ndarray], *, num_classes: int) -> np.ndarray:
    """Mean size in pixels of the connected regions of each class, (C,); nan where there are none.

    Args:
        labels: (H, W) each, of train ids and 255; pixels that touch at a corner are connected.
        num_classes: C.
    """
    pixels, regions = np.zeros(num_classes), np.zeros(num_classes)
    for label in labels:
        for value in np.unique(label):
            if value < num_classes:
                own = (label == value).astype(np.uint8)
                found, _ = cv2.connectedComponents(own, connectivity=8)
                pixels[value] += own.sum()
                regions[value] += found - 1  # one of them is the rest of the image
    with np.errstate(invalid="ignore"):
        sizes: np.ndarray = pixels / regions
    return sizes


@dataclass(frozen=True)
class Claim:
    """How "small bins carry the large, coarse things and large bins the fine ones" fares.

    Args:
        verdict: "holds" or "reversed" if chance gives so strong a trend in less than 5 % of cases.
        by_bin: rank correlation of the classes' region sizes and losses of IoU for each bin; as
            claimed it falls from bin to bin.
        trend: rank correlation of the region sizes and the slopes of the loss from the least bin to
            the greatest; as claimed it is negative.
        chance: share of random pairings of sizes and slopes with as strong a trend.
        classes: number of classes that it rests on.
    """

    verdict: Verdict
    by_bin: tuple[float, ...]
    trend: float
    chance: float
    classes: int


def judge(losses: np.ndarray, sizes: np.ndarray, *, bins: Sequence[int]) -> Claim | None:
    """Tests the claim; None where there are no two bins to compare.

    Args:
        losses: of IoU, by class and bin, (C, bins); nan for classes that are absent.
        sizes: mean region size of each class, (C,).
        bins: sides of the grids, as the columns of `losses`.
    """
    if len(bins) < 2:
        return None
    ranks = np.argsort(np.argsort(bins)) - (len(bins) - 1) / 2  # 6 is as far from 3 as 3 from 2
    counted = np.isfinite(sizes) & np.isfinite(losses).all(1)
    sizes, losses = sizes[counted], losses[counted]
    slopes = losses @ ranks / (ranks @ ranks)
    by_bin = tuple(rank_correlation(sizes, column) for column in losses.T)
    trend = rank_correlation(sizes, slopes)
    if not np.isfinite(trend):
        return Claim("undecided", by_bin, trend, 1.0, len(sizes))
    chance = _chance(sizes, slopes)  # of four classes, no order is rarer than 1 in 12
    sure: Verdict = "holds" if trend < 0 else "reversed"
    return Claim(sure if chance < SURE else "undecided", by_bin, trend, chance, len(sizes))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, -1 to 1; nan if either is constant."""
    first, second = _ranks(one), _ranks(other)
    norm = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / norm) if norm > 0 else float("nan")


def _chance(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the pairings whose rank correlation is at least as strong, of either sign."""
    first, second = _ranks(one), _ranks(other)
    if len(one) <= ALL:
        shuffled = np.array(list(permutations(first)))
    else:
        drawn = np.random.default_rng(0).permuted(np.tile(first, (RESAMPLES, 1)), axis=1)
        shuffled = np.vstack([first, drawn])  # the pairing at hand is one of them
    strength = np.abs(shuffled @ second)
    return float((strength >= abs(first @ second) - 1e-9).mean())


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks about their mean, ties sharing theirs."""
    from scipy.stats import rankdata

    ranks: np.ndarray = rankdata(values) - (len(values) + 1) / 2
    return ranks
