"""Size of a class's regions against what it loses per bin: do small bins serve large regions?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

Verdict = Literal["holds", "reversed", "undecided"]
SIGNIFICANCE = 0.05
RESAMPLES = 9999  # all pairings of up to 7 classes, random ones of more


def region_sizes(labels: Iterable[np.ndarray], *, num_classes: int) -> np.ndarray:
    """Return the mean size in pixels of each class's connected regions, (C,); nan without any.

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
class Trend:
    """Test of "small bins carry the large, coarse things and large bins the fine ones".

    Args:
        verdict: "holds" or "reversed" if p is below 5 %.
        by_bin: rank correlation of the classes' region sizes and losses of IoU for each bin; as
            claimed it falls from bin to bin.
        correlation: rank correlation of the region sizes and the slopes of the loss from the
            smallest bin to the largest; as claimed it is negative.
        p: two-sided, of a permutation test.
        classes: number of classes that it rests on.
    """

    verdict: Verdict
    by_bin: tuple[float, ...]
    correlation: float
    p: float
    classes: int


def trend(losses: np.ndarray, sizes: np.ndarray, *, bins: Sequence[int]) -> Trend | None:
    """Test the claim; None where there are no two bins to compare.

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
    by_bin = tuple(_rank_correlation(sizes, column) for column in losses.T)
    correlation = _rank_correlation(sizes, slopes)
    p = _p_value(sizes, slopes) if np.isfinite(correlation) else 1.0
    found: Verdict = "holds" if correlation < 0 else "reversed"
    return Trend(found if p < SIGNIFICANCE else "undecided", by_bin, correlation, p, len(sizes))


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's coefficient; nan if either is constant."""
    from scipy.stats import spearmanr

    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one, other).statistic)


def _p_value(one: np.ndarray, other: np.ndarray) -> float:
    from scipy.stats import permutation_test, rankdata

    ranks = rankdata(other)
    test = permutation_test(
        (rankdata(one),),
        lambda shuffled, axis: (shuffled * ranks).sum(axis),  # rises with Spearman's coefficient
        permutation_type="pairings",
        n_resamples=RESAMPLES,
        vectorized=True,
        random_state=0,
    )
    return float(test.pvalue)
