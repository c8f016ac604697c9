"""What scores over seeds say: their spread, differences paired by seed, what these separate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

LEVEL = 0.05  # of every test; an interval covers the rest


@dataclass(frozen=True)
class Spread:
    """Mean of a number of values and their sample standard deviation, None for a single one."""

    mean: float
    deviation: float | None
    count: int


@dataclass(frozen=True)
class Difference:
    """Mean difference over pairs, its 95 % interval, and p of no difference; None for one pair."""

    mean: float
    low: float | None
    high: float | None
    p: float | None
    count: int

    @property
    def separable(self) -> bool | None:
        """Whether the interval leaves out 0; None if there is no interval."""
        return None if self.p is None else self.p < LEVEL


def spread(values: Iterable[float]) -> Spread | None:
    """Mean and sample standard deviation (n - 1); None without values."""
    x = np.array(list(values), dtype=float)  # (n,)
    if not len(x):
        return None
    deviation = float(x.std(ddof=1)) if len(x) > 1 else None
    return Spread(float(x.mean()), deviation, len(x))


def paired(values: Mapping[int, float], *, to: Mapping[int, float]) -> Difference | None:
    """Student's t on the differences values - to of the seeds that both have.

    None if they share no seed. Differences without any spread get an interval without width.
    """
    d = np.array([values[seed] - to[seed] for seed in sorted(values.keys() & to)])  # (n,)
    if not len(d):
        return None
    mean, n = float(d.mean()), len(d)
    if n < 2:
        return Difference(mean, None, None, None, n)
    error = float(d.std(ddof=1)) / math.sqrt(n)
    half = float(student.ppf(1 - LEVEL / 2, n - 1)) * error
    size = abs(mean) / error if error else math.inf if mean else 0.0
    return Difference(mean, mean - half, mean + half, 2 * float(student.sf(size, n - 1)), n)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given: below 0.05, at most one in 20 families errs."""
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = largest
    return adjusted


def among_best(scores: Sequence[Mapping[int, float]]) -> list[bool | None]:
    """Which rows are the best one or cannot be told from it; None for what cannot be judged.

    The best row is the one of the highest mean among those of two seeds or more. Each other one is
    held against it by the paired t test, with Holm's correction over these comparisons; only where
    one of the two is the first row, a comparison that was meant from the start, the interval
    decides as it is. The best is chosen by the same scores, so that of rows that are all equal some
    are told apart more often than 5 times in 100: of 7 rows of 3 seeds 18 times, without any
    correction 38 times.

    Args:
        scores: by seed, of each row; the first row is what the others are compared with.
    """
    marks: list[bool | None] = [None] * len(scores)
    means = {
        row: s.mean for row, x in enumerate(scores) if (s := spread(x.values())) and len(x) > 1
    }
    if not means:
        return marks
    best = max(means, key=means.__getitem__)
    others = {row: paired(scores[row], to=scores[best]) for row in means if row != best}
    p = {row: d.p for row, d in others.items() if d is not None and d.p is not None}
    meant = {row: value for row, value in p.items() if 0 in (row, best)}
    picked = [row for row in p if row not in meant]
    adjusted = zip(picked, holm([p[row] for row in picked]), strict=True)
    for row, value in (meant | dict(adjusted)).items():
        marks[row] = value >= LEVEL
    if p:
        marks[best] = True
    return marks


def front(costs: Sequence[float], scores: Sequence[Mapping[int, float]]) -> list[bool]:
    """Which rows are worth their cost: the Pareto front of what the spread separates.

    From the cheapest on, a row joins if it is above every cheaper row of the front, and below none
    of its own cost, by a paired 95 % interval that leaves out 0. Rows of the same cost and a higher
    mean join with it.

    Args:
        costs: of each row, in any unit.
        scores: by seed, of each row.
    """
    means = [s.mean if (s := spread(x.values())) else -math.inf for x in scores]
    chosen: list[int] = []
    for cost in sorted(set(costs)):
        rows = [row for row, own in enumerate(costs) if own == cost and scores[row]]
        rows = [row for row in rows if not any(_above(scores[o], scores[row]) for o in rows)]
        worth = [r for r in rows if all(_above(scores[r], scores[cheaper]) for cheaper in chosen)]
        least = min((means[row] for row in worth), default=math.inf)
        chosen += [row for row in rows if means[row] >= least]
    return [row in chosen for row in range(len(costs))]


def _above(values: Mapping[int, float], other: Mapping[int, float]) -> bool:
    difference = paired(values, to=other)
    return difference is not None and bool(difference.separable) and difference.mean > 0
