"""The settings figure: every seed, mean and paired interval is where it belongs, labels apart."""

from pathlib import Path

import numpy as np
import pytest
from overlaps import assert_legible
from scipy.stats import ttest_rel

from pspnet.tools.ablation.figures import settings as module
from pspnet.tools.ablation.figures.settings import Best, Panel, draw_settings
from pspnet.tools.ablation.statistics.paired import against_best, paired_difference


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would have been written."""
    caught = []
    monkeypatch.setattr(module, "save", lambda figure, out: caught.append(figure))
    return caught


def panel(title: str, *, rows: int, seeds: int, seed: int = 0) -> Panel:
    generator = np.random.default_rng(seed)
    scores = [
        dict(enumerate(generator.normal(min(60 + 9 * row, 98), 1, seeds).clip(0, 100).tolist()))
        for row in range(rows)
    ]
    differences = [paired_difference(own, scores[0]) for own in scores[1:]]
    return Panel(title, scores, [None, *differences])


def draw(panels: list[Panel], **changes: object) -> None:
    rows = len(panels[0].scores)
    settings = [f"setting-{row}{'x' * row}" for row in range(rows)]
    options = {"title": "A sweep on data", "settings": settings, "reference": settings[0]}
    options |= {"marks": [""] * (rows - 1) + ["≈ best, ≈ setting-0"]}
    draw_settings(panels, Path("a.png"), **(options | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("rows", "seeds", "panels"), [(7, 3, 4), (12, 3, 1), (3, 2, 5)])
def test_every_seed_mean_and_interval_is_drawn(drawn, rows, seeds, panels):
    given = [panel(f"group {n}, %", rows=rows, seeds=seeds, seed=n) for n in range(panels)]
    draw(given)
    (figure,) = drawn
    assert len(figure.axes) == 2 * panels
    for (left, right), own in zip(zip(*[iter(figure.axes)] * 2, strict=True), given, strict=True):
        assert left.get_title(loc="left") == own.title
        assert right.get_title(loc="left") == "Δ to setting-0"
        reference, *means = [line.get_xdata() for line in left.lines]
        np.testing.assert_allclose(reference, [np.mean([*own.scores[0].values()])] * 2)
        for place, (scores, dots) in enumerate(zip(own.scores, left.collections, strict=True)):
            np.testing.assert_allclose(dots.get_offsets()[:, 0], [*scores.values()])
            assert (abs(dots.get_offsets()[:, 1] - place) < 0.5).all()
            np.testing.assert_allclose(means[place], [np.mean([*scores.values()])] * 2)
        lines = [line for line in right.lines if line.get_marker() not in ("<", ">")]
        zero, *drawn_differences = [line.get_xdata() for line in lines]
        assert list(zero) == [0, 0]
        first = [*own.scores[0].values()]
        for place in range(1, rows):
            test = ttest_rel([*own.scores[place].values()], first)
            mean, interval = drawn_differences[2 * place - 2 : 2 * place]
            whole, base = test.confidence_interval(0.95), np.mean(first)
            np.testing.assert_allclose(interval, np.clip(whole, -base, 100 - base))
            np.testing.assert_allclose(mean, np.mean(whole))
            color = lines[2 * place].get_color()
            assert (color == module.INK) == (test.pvalue < 0.05)
    assert figure.axes[0].get_yticklabels()[0].get_text() == "setting-0"
    assert_legible(figure)


def test_scores_have_no_whiskers_beyond_100(drawn):
    draw([panel("mIoU, %", rows=6, seeds=3)])
    scores, _ = drawn[0].axes
    assert max(x for line in scores.lines for x in line.get_xdata()) <= 100


def with_best(panel: Panel) -> Panel:
    best, differences = against_best(panel.scores)
    assert best is not None
    return panel._replace(best=Best(best, differences))


def test_the_intervals_to_the_best_are_drawn_beside_the_first_panel(drawn):
    given = with_best(panel("mIoU, %", rows=4, seeds=3))
    assert given.best is not None
    draw([given, panel("group, %", rows=4, seeds=3, seed=1)])
    (figure,) = drawn
    _, _, to_best, *others = figure.axes
    assert len(others) == 2
    assert to_best.get_title(loc="left") == f"Δ to the best: setting-3{'x' * 3}"
    zero, *lines = [line.get_xdata() for line in to_best.lines if line.get_marker() not in "<>"]
    assert list(zero) == [0, 0]
    assert len(lines) == 6
    base = np.mean([*given.scores[3].values()])
    for place, difference in enumerate(given.best.differences[:3]):
        assert difference is not None
        mean, interval = lines[2 * place : 2 * place + 2]
        np.testing.assert_allclose(mean, difference.mean)
        expected = [max(difference.low, -base), min(difference.high, 100 - base)]
        np.testing.assert_allclose(interval, expected)
    assert next(text.get_text() for text in to_best.texts if text.get_text()) == "best"
    assert_legible(figure)


def test_no_interval_goes_beyond_what_a_score_can_be(drawn):
    wide = Panel("mIoU, %", [{0: 90.0, 1: 94.0}, {0: 97.0, 1: 92.0}], [None, None])
    wide = wide._replace(differences=[None, paired_difference(wide.scores[1], wide.scores[0])])
    draw([wide])
    lines = drawn[0].axes[1].lines
    assert max(x for line in lines for x in line.get_xdata()) == pytest.approx(8)
    assert min(x for line in lines for x in line.get_xdata()) < -30
    assert [line.get_marker() for line in lines].count(">") == 1  # it goes on


def test_every_line_and_color_is_named(drawn):
    draw([with_best(panel("mIoU, %", rows=3, seeds=3))])
    names = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert names == [
        *("score of a seed", "mean", "mean of setting-0, the reference"),
        *("95 % paired interval without 0: told apart", "with 0: not told apart (≈)"),
        "to the best: intervals at the level of Holm's correction",
    ]
    said = [text.get_text() for axes in drawn[0].axes for text in axes.texts if text.get_text()]
    assert said == ["reference", "best", "≈ best, ≈ setting-0"]


def test_missing_scores_and_pairs_are_said(drawn):
    given = panel("mIoU, %", rows=3, seeds=2)
    lacking = Panel("small, %", [given.scores[0], {}, {7: 50.0}], [None, None, None])
    draw([given, lacking])
    *_, scores, differences = drawn[0].axes
    assert [text.get_text() for text in scores.texts] == ["no score"]
    assert [text.get_text() for text in differences.texts] == ["reference", "no pair", "no pair"]


def test_without_differences_there_are_scores_alone(drawn):
    draw([panel("mIoU, %", rows=1, seeds=1)])
    draw([Panel("mIoU, %", [{0: 50.0}, {0: 60.0}], [None, None])], reference="absent")
    for figure in drawn:
        assert len(figure.axes) == 1
        assert_legible(figure)
