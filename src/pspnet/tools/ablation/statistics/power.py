"""Power of the paired t test: how many seeds a difference needs to be told from none."""

from __future__ import annotations

from math import isfinite, sqrt

from scipy.optimize import brentq
from scipy.special import ncfdtr
from scipy.stats import chi2
from scipy.stats import t as student

from pspnet.tools.ablation.statistics.paired import LEVEL

MOST = 1000  # pairs that are looked at
CAUTION = 0.8  # share of pilots whose cautious deviation is above the true one


def power(count: int, *, difference: float, deviation: float, level: float = LEVEL) -> float:
    """Return the probability that a two-sided test of `count` pairs finds a difference.

    Args:
        count: pairs of runs that share a seed.
        difference: the true difference of the means.
        deviation: the standard deviation of the differences over seeds, in the same unit.
        level: of the test.
    """
    if count < 2:
        return 0.0
    if deviation == 0:
        return float(difference != 0)
    shift = abs(difference) / deviation * sqrt(count)
    critical = student.isf(level / 2, count - 1)
    # t² is a noncentral F; scipy's noncentral t is wrong for two pairs and a large shift
    missed = ncfdtr(1, count - 1, shift**2, critical**2)
    return 1.0 - float(missed) if isfinite(missed) else 1.0  # of a shift beyond scipy's reach


def pairs_needed(difference: float, *, deviation: float, wanted: float) -> int | None:
    """Return the fewest pairs whose test has the `wanted` power; None beyond a thousand."""
    counts = range(2, MOST + 1)
    return next(
        (n for n in counts if power(n, difference=difference, deviation=deviation) >= wanted), None
    )


def detectable(count: int, *, deviation: float, wanted: float) -> float | None:
    """Return the smallest difference that `count` pairs find with the `wanted` power.

    It is 0 where the test finds as much without any difference; None for fewer than two pairs.
    """
    if count < 2 or deviation == 0 or wanted <= LEVEL:
        return None if count < 2 else 0.0
    found = brentq(
        lambda d: power(count, difference=d, deviation=1.0) - wanted, 1e-6, 1e4, xtol=1e-6
    )
    return float(found) * deviation


def cautious(deviation: float, *, count: int) -> float:
    """Return the upper end of a deviation's one-sided 80 % interval, from `count` values.

    A pilot of few seeds often finds too small a deviation, and a plan made with it has too little
    power more often than not (Browne 1995, On the use of a pilot sample for sample size
    determination, Statistics in Medicine 14).
    """
    return deviation * sqrt((count - 1) / float(chi2.ppf(1 - CAUTION, count - 1)))
