"""Plots of settings: every seed, mean and spread where they belong, and labels apart."""

import numpy as np
import pytest
from labels import assert_labels_fit, texts

from pspnet.errors import UserError
from pspnet.tools.ablation import pareto_figure as pareto_module
from pspnet.tools.ablation import settings_figure as settings_module
from pspnet.tools.ablation.pareto_figure import FRONT, Point, scores_by_cost
from pspnet.tools.ablation.settings_figure import setting_scores


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would have been written."""
    caught = []
    for module in (pareto_module, settings_module):
        monkeypatch.setattr(module, "save", lambda figure, out: caught.append(figure))
    return caught


def scores(count, *, seeds, seed=0):
    generator = np.random.default_rng(seed)
    return {
        f"setting-{row}{'x' * row}": dict(enumerate(generator.normal(60 + row, 1, seeds).tolist()))
        for row in range(count)
    }


@pytest.mark.parametrize(("rows", "seeds", "panels"), [(7, 3, 4), (12, 3, 1), (1, 1, 1), (3, 2, 6)])
def test_every_seed_mean_and_deviation_is_drawn(tmp_path, drawn, rows, seeds, panels):
    values = {
        f"group {number}, %": scores(rows, seeds=seeds, seed=number) for number in range(panels)
    }
    names = [*values["group 0, %"]]
    marks = {names[-1]: "≈ best, ≈ setting 0"}
    setting_scores(values, tmp_path / "a.png", title="A sweep on some data", marks=marks)
    (figure,) = drawn
    assert len(figure.axes) == panels
    for axes, (title, by_setting) in zip(figure.axes, values.items(), strict=True):
        assert axes.get_title(loc="left") == title
        dots = [dot.get_offsets() for dot in axes.collections]
        for place, (row, own) in enumerate(zip(dots, by_setting.values(), strict=True)):
            np.testing.assert_allclose(row[:, 0], [*own.values()])
            assert (abs(row[:, 1] - place) < 0.5).all()
        x = np.array([[*own.values()] for own in by_setting.values()])
        lines = [line.get_xdata() for line in axes.lines]
        np.testing.assert_allclose(lines[0], [x[0].mean()] * 2)  # of the first setting, all through
        if seeds > 1:
            means, deviations = x.mean(1), x.std(1, ddof=1)
            np.testing.assert_allclose(
                lines[1::2], np.stack([means - deviations, means + deviations], 1)
            )
            np.testing.assert_allclose(lines[2::2], np.stack([means, means], 1))
            band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
            ends = means[0] - deviations[0], means[0] + deviations[0]
            assert (band.x0, band.x1) == pytest.approx(ends)
        low, high = axes.get_xlim()
        assert all(low < value < high for line in lines for value in line)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == names
    marked = [text.get_text() for text in figure.axes[0].texts if text.get_text()]
    assert marked == ["≈ best, ≈ setting 0"]
    assert_labels_fit(figure)
    assert_apart(figure)
    mark = figure.axes[0].texts[-1].get_window_extent()
    assert not any(mark.overlaps(axes.bbox) for axes in figure.axes)


def test_settings_that_have_not_run_keep_their_line(tmp_path, drawn):
    some = {"a": {}, "b": {3: 50.0}}
    setting_scores(
        {"mIoU, %": some, "none, %": {"a": {}, "b": {}}}, tmp_path / "a.png", title="", marks={}
    )
    miou, none = drawn[0].axes
    assert [label.get_text() for label in miou.get_yticklabels()] == ["a", "b"]
    assert [dot.get_offsets().tolist() for dot in miou.collections] == [[[50.0, 1.0]]]
    assert [text.get_text() for text in none.texts] == ["no run"]


def test_panels_must_agree(tmp_path):
    for panels in ({}, {"one": {}}, {"one": {"a": {}}, "two": {"b": {}}}):
        with pytest.raises(UserError, match="give the same for each"):
            setting_scores(panels, tmp_path / "a.png", title="", marks={})
    with pytest.raises(UserError, match="give at least one"):
        scores_by_cost([], tmp_path / "a.png", title="", cost="")


def points(costs, *, seeds=3, front=()):
    generator = np.random.default_rng(1)
    return [
        Point(f"B{row}-some-name", cost, tuple(generator.normal(70, 2, seeds)), row in front)
        for row, cost in enumerate(costs)
    ]


@pytest.mark.parametrize(
    ("costs", "seeds"),
    [
        ([9.1, 9.8, 9.8, 12.4, 12.4, 10.2, 10.2], 3),
        ([3.0, 5.5, *[14.0] * 10], 3),
        ([2.0] * 12, 3),
        ([2.0], 1),
        ([300.0, 310.5, 323.3], 1),
    ],
)
def test_pareto_labels_every_point_and_hides_none(tmp_path, drawn, costs, seeds):
    given = points(costs, seeds=seeds, front={0, 2})
    scores_by_cost(given, tmp_path / "a.png", title="mIoU and cost", cost="GFLOP")
    (figure,) = drawn
    (axes,) = figure.axes
    names = [text.get_text() for text in axes.texts]
    assert sorted(names) == sorted(point.name for point in given)
    assert_labels_fit(figure)
    assert_apart(figure)
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert len(dots) == len(given)
    boxes = [text.get_window_extent() for text in axes.texts]
    for dot, point in zip(dots, given, strict=True):
        assert dot.get_ydata()[0] == pytest.approx(np.mean(point.scores))
        assert (dot.get_color() == FRONT) == point.front
        pixel = axes.transData.transform((dot.get_xdata()[0], dot.get_ydata()[0]))
        assert not any(box.contains(*pixel) for box in boxes), point.name
    alone = [point for point in given if costs.count(point.cost) == 1]
    drawn_at = {dot.get_xdata()[0] for dot in dots}
    assert drawn_at >= {point.cost for point in alone}
    assert len(drawn_at) == len(given)  # equal costs stand side by side
    for cost in costs:  # around their own cost
        around = [d.get_xdata()[0] for d, p in zip(dots, given, strict=True) if p.cost == cost]
        assert np.mean(around) == pytest.approx(cost)


def test_pareto_draws_deviations_and_stairs(tmp_path, drawn):
    given = [Point("b", 3, (70.0, 71.0), True), Point("a", 1, (60.0, 62.0), True)]
    given += [Point("c", 2, (50.0,), False), Point("d", 3, (72.0, 73.5), True)]
    scores_by_cost(given, tmp_path / "a.png", title="", cost="")
    axes = drawn[0].axes[0]
    stairs, *others = axes.lines
    right = axes.get_xlim()[1]
    expected = [(1, 61), (3, 61), (3, 72.75), (right, 72.75)]
    np.testing.assert_allclose(np.transpose(stairs.get_data()), expected)
    bars = [line.get_ydata() for line in others if line.get_marker() != "o"][:4]
    deviations = [np.std(point.scores, ddof=1) if len(point.scores) > 1 else 0 for point in given]
    means = [np.mean(point.scores) for point in given]
    for bar, mean, deviation in zip(bars, means, deviations, strict=True):
        np.testing.assert_allclose(bar, (mean - deviation, mean + deviation))


def test_files_are_written(tmp_path):
    setting_scores({"mIoU, %": scores(2, seeds=2)}, tmp_path / "a.png", title="$x", marks={})
    scores_by_cost(points([1.0]), tmp_path / "b.png", title="$x", cost="GFLOP")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def assert_apart(figure):
    """No two texts of the figure overlap."""
    shown = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    for number, (name, box) in enumerate(shown):
        for other, another in shown[number + 1 :]:
            assert not box.overlaps(another), (name, other)
