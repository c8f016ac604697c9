"""Seeds that a difference needs, against published tables and by simulation."""

import json
from pathlib import Path

import numpy as np
import pytest
from fake_runs import costs, put, results
from scipy.stats import norm, t, ttest_1samp

from pspnet.tools.ablation.__main__ import main
from pspnet.tools.ablation.statistics.power import cautious, detectable, pairs_needed, power


@pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_pairs_of_cohens_effects(effect, pairs):
    """G*Power 3.1's numbers for two-sided paired t tests at 5 % and 80 % power."""
    assert pairs_needed(effect, deviation=1, wanted=0.8) == pairs
    assert pairs_needed(3 * effect, deviation=3, wanted=0.8) == pairs
    assert pairs_needed(0.01, deviation=1, wanted=0.8) is None


@pytest.mark.parametrize("count", [2, 3, 6])
def test_power_against_simulated_tests(count):
    draws = np.random.default_rng(1).normal(2.0, 1.0, (20_000, count))
    found = (ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean()
    assert power(count, difference=-2.0, deviation=1.0) == pytest.approx(found, abs=0.012)
    least = detectable(count, deviation=1.0, wanted=0.8)
    assert least is not None
    assert power(count, difference=least, deviation=1.0) == pytest.approx(0.8, abs=1e-4)


def test_power_of_two_pairs_against_the_integral():
    """|t| > c where a standard normal, shifted, exceeds c times the absolute value of another."""
    critical, shift = t.isf(0.025, 1), 7.3 * np.sqrt(2)
    other = np.linspace(0, 9, 20_001)
    either = norm.sf(critical * other - shift) + norm.cdf(-critical * other - shift)
    expected = np.trapezoid(either * 2 * norm.pdf(other), other)
    assert power(2, difference=7.3, deviation=1.0) == pytest.approx(expected, abs=1e-4)
    least = [detectable(2, deviation=1.0, wanted=wanted) for wanted in (0.04, 0.8, 0.9, 0.999)]
    assert least[0] == 0
    assert least == sorted(least)


def test_power_at_its_ends():
    assert power(1, difference=9, deviation=1) == 0
    assert power(3, difference=1e6, deviation=0.1) == 1
    assert (power(3, difference=1, deviation=0), power(3, difference=0, deviation=0)) == (1, 0)
    assert detectable(1, deviation=1, wanted=0.8) is None


def test_a_cautious_deviation_is_above_the_true_one_in_8_of_10_pilots():
    pilots = np.random.default_rng(2).normal(0, 1, (20_000, 4)).std(1, ddof=1)
    above = np.mean([cautious(deviation, count=4) > 1 for deviation in pilots])
    assert above == pytest.approx(0.8, abs=0.01)


@pytest.fixture
def pilot(own, tmp_path) -> Path:
    """own.yaml's settings with three seeds each, but for the last, which has none."""
    sweep = own(parameters=SETTINGS)
    for name, scores in {"a": (0.5, 0.52, 0.51), "b": (0.55, 0.58, 0.57), "c": ()}.items():
        for seed, miou in enumerate(scores):
            folder = sweep.folder / name / f"seed_{seed}"
            put(folder, results=results(miou), costs=costs(seconds=1800))
    return sweep.folder


SETTINGS = {
    "config": {"values": [{"name": name} for name in "abc"]},
    "seed_everything": {"values": [0, 1, 2]},
}


def test_the_plan_of_a_pilot(pilot, capsys):
    main(["plan", "own.yaml", "--data=toys", "--difference=2"])
    said = capsys.readouterr().out.splitlines()
    # the differences 5, 6, 6 have a deviation of 0.577, which c without runs takes as well
    needed = pairs_needed(2, deviation=0.5774, wanted=0.8)
    with_care = pairs_needed(2, deviation=cautious(0.5774, count=3), wanted=0.8)
    rows = [line.split() for line in said[4:6]]
    assert rows[0][:5] == ["b", "3", "0.58", f"{needed}", f"({with_care})"]
    assert rows[1] == ["c", "0", "0.58", "(all)", f"{needed}", f"({with_care})", "–"]
    assert said[7] == "pooled deviation of Δ: 0.58 points"
    left = 2 * (needed - 3) + needed
    assert said[8].startswith(f"hours left: {left} runs, {left // 2} h")


def test_a_plan_without_a_pilot_is_refused(pilot, capsys):
    for path in pilot.glob("b/seed_[12]/results.json"):
        path.write_text(json.dumps({}))
    with pytest.raises(SystemExit):
        main(["plan", "own.yaml", "--data=toys"])
    assert "no setting shares two finished seeds with a; run a pilot" in capsys.readouterr().err
    for wrong in ("--difference=0", "--power=1", "--power=x"):
        with pytest.raises(SystemExit):
            main(["plan", "own.yaml", "--data=toys", wrong])
