"""Deviations, paired intervals and marks, against formulas, scipy and brute force."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_rel

from pspnet.tools.ablation.statistics.paired import (
    against_best,
    among_best,
    holm_levels,
    paired_difference,
    pareto_front,
    summary,
)


def seeds(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def noisy(
    mean: float, *, deviation: float = 1.0, count: int = 3, seed: int = 0
) -> dict[int, float]:
    return seeds(*np.random.default_rng(seed).normal(mean, deviation, count).tolist())


def test_spread_against_numpy():
    x = [70.1, 68.3, 71.9, 70.0]
    found = summary(iter(x))
    assert found is not None
    assert found.mean == pytest.approx(sum(x) / 4)
    assert found.deviation == pytest.approx(np.sqrt(sum((v - sum(x) / 4) ** 2 for v in x) / 3))
    assert found.count == 4
    alone = summary([70.1])
    assert alone is not None
    assert (alone.mean, alone.deviation, alone.count) == (70.1, None, 1)
    assert summary([]) is None


@pytest.mark.parametrize("count", [2, 3, 5, 20])
def test_paired_interval_and_p_are_students(count):
    one, two = noisy(71, count=count, seed=1), noisy(70, count=count, seed=2)
    found = paired_difference({99: 0.0} | dict(reversed(one.items())), two | {98: 100.0})
    d = np.array([one[s] - two[s] for s in range(count)])
    error = d.std(ddof=1) / np.sqrt(count)
    low, high = student(df=count - 1, loc=d.mean(), scale=error).interval(0.95)
    assert found is not None
    assert found.mean == pytest.approx(d.mean())
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(2 * student.sf(abs(d.mean()) / error, count - 1))
    assert found.count == count
    assert found.significant == (low > 0 or high < 0)


def test_paired_of_few_or_equal_seeds():
    one = paired_difference({0: 71.0, 1: 5.0}, {0: 70.0, 2: 6.0})
    assert one is not None
    assert (one.mean, one.low, one.high, one.significant, one.count) == (1, None, None, None, 1)
    assert paired_difference({0: 71.0}, {1: 70.0}) is None
    assert paired_difference({}, {1: 70.0}) is None
    same = paired_difference(seeds(1, 2, 3), seeds(1, 2, 3))
    shifted = paired_difference(seeds(2, 3, 4), seeds(1, 2, 3))
    assert same is not None
    assert shifted is not None
    assert (same.low, same.high, same.significant) == (0, 0, False)
    assert (shifted.low, shifted.high, shifted.significant) == (1, 1, True)


def test_holm_is_bonferroni_closed():
    generator = np.random.default_rng(0)
    rejections = 0
    for size in (1, 2, 5):
        for _ in range(20):
            p = (generator.random(size) ** 3).tolist()
            subsets = [s for n in range(1, size + 1) for s in combinations(range(size), n)]
            adjusted = [
                max(len(s) * min(p[j] for j in s) for s in subsets if i in s) for i in range(size)
            ]
            rejected = [own < level for own, level in zip(p, holm_levels(p, 0.2), strict=True)]
            assert rejected == [value < 0.2 for value in adjusted]
            rejections += sum(rejected)
    assert 20 < rejections < 140
    assert holm_levels([], 0.05) == []


def stepped_down(p: dict[int, float]) -> set[int]:
    """Return the rows that Holm's procedure rejects at 5 %, smallest p first until one fails."""
    rejected: set[int] = set()
    for row in sorted(p, key=p.__getitem__):
        if p[row] > 0.05 / (len(p) - len(rejected)):
            break
        rejected.add(row)
    return rejected


def test_best_rows_are_those_that_holm_does_not_tell_apart():
    generator = np.random.default_rng(3)
    seen: set[object] = set()
    for _ in range(60):
        means = [70, *(70 + generator.random(4) * 8)]
        scores = [seeds(*generator.normal(mean, 0.8, 4)) for mean in means]
        best = int(np.argmax([np.mean([*x.values()]) for x in scores]))
        p = {
            row: ttest_rel([*scores[row].values()], [*scores[best].values()]).pvalue
            for row in range(5)
            if row != best
        }
        first = {0} if p[0] < 0.05 else set()  # its comparisons need no correction
        apart = first | stepped_down({row: value for row, value in p.items() if row})
        assert among_best(scores) == [row not in apart for row in range(5)]
        seen |= {len(apart), *("corrected" for row in p if p[row] < 0.05 and row not in apart)}
        seen |= {"spared"} if apart != stepped_down(p) else set()
    assert {1, 2, 3, 4, "corrected", "spared"} <= seen


def test_a_best_first_row_is_compared_without_correction():
    worse = [seeds(79.0, 78.0, 78.8), seeds(78.8, 78.1, 79.2), seeds(78.9, 77.9, 79.0)]
    first = seeds(80.0, 79.8, 80.1)
    intervals = [paired_difference(other, first) for other in worse]
    p = [i.p for i in intervals if i is not None and i.p is not None]
    assert [i is not None and i.significant for i in intervals] == [True] * 3
    assert 3 * min(p) > 0.05  # so correction would hide them all
    assert among_best([first, *worse]) == [True, False, False, False]


def test_intervals_to_the_best_exclude_0_where_the_mark_says_so():
    generator = np.random.default_rng(5)
    wider = 0
    for _ in range(40):
        means = [70, *(70 + generator.random(4) * 8)]
        scores = [seeds(*generator.normal(mean, 0.8, 4)) for mean in means]
        best, differences = against_best(scores)
        assert best is not None
        for row, (mark, own) in enumerate(zip(among_best(scores), differences, strict=True)):
            if row == best:
                assert (mark, own) == (True, None)
                continue
            assert own is not None
            assert own.low is not None
            assert own.high is not None
            assert own.mean < 0
            assert (own.low <= 0 <= own.high) == mark
            plain = paired_difference(scores[row], scores[best])
            assert plain is not None
            assert plain.low is not None
            wider += own.low < plain.low
    assert wider > 20


def test_rows_without_two_common_seeds_are_not_judged():
    good = seeds(80.0, 80.2, 79.9)
    bad = seeds(60.0, 60.1, 60.3)
    assert among_best([bad, good, {0: 90.0}, {5: 1.0, 6: 2.0}, {}]) == [
        *(False, True, None, None, None),
    ]
    assert among_best([{0: 80.0}, {0: 81.0}]) == [None, None]
    assert among_best([{0: 80.0, 1: 81.0}]) == [None]
    assert among_best([]) == []


def test_front_takes_what_the_spread_separates():
    cheap, better, best = seeds(60, 61, 62), seeds(70, 71, 72.5), seeds(80, 81.5, 82)
    unsure = seeds(60, 95, 99)  # of the highest mean, and not above `better` for sure
    worse = seeds(65, 66, 67.5)
    rows = {"best": (9, best), "unsure": (8, unsure), "worse": (5, worse), "better": (5, better)}
    rows |= {"cheap": (1, cheap), "none": (0, {}), "dear": (20, better)}
    chosen = pareto_front(
        [cost for cost, _ in rows.values()], [scores for _, scores in rows.values()]
    )
    assert [name for name, on in zip(rows, chosen, strict=True) if on] == [
        "best",
        "better",
        "cheap",
    ]


def test_front_of_equal_costs():
    cheap, sure, higher = seeds(60, 61, 62), seeds(64, 65, 66.1), seeds(60, 75, 76)
    lower = seeds(50, 65, 66)
    assert pareto_front([1, 5, 5, 5], [cheap, sure, higher, lower]) == [True, True, True, False]
    assert pareto_front([1, 5], [cheap, higher]) == [True, False]
    assert pareto_front([2, 2, 2], [cheap, seeds(61, 60, 62), sure]) == [False, False, True]
    assert pareto_front([3, 3], [{0: 50.0}, {0: 70.0}]) == [True, True]
    assert pareto_front([], []) == []
