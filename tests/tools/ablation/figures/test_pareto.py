"""The Pareto figure: every point at its true cost, the front as stairs, names apart."""

from pathlib import Path

import numpy as np
import pytest
from overlaps import assert_legible

from pspnet.tools.ablation.figures import pareto as module
from pspnet.tools.ablation.figures.pareto import FRONT, Point, draw_pareto, spread_out


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would have been written."""
    caught = []
    monkeypatch.setattr(module, "save", lambda figure, out: caught.append(figure))
    return caught


def draw(points: list[Point]) -> None:
    draw_pareto(points, Path("a.png"), title="A sweep on data", cost="GFLOP")


@pytest.mark.parametrize(
    ("costs", "seeds"),
    [
        ([9.1, 9.8, 9.8, 12.4, 12.4, 10.2, 10.2], 3),
        ([3.0, 5.5, *[14.0] * 10], 3),
        ([2.0] * 40, 3),
        ([2.0], 1),
        ([300.0, 310.5, 323.3], 1),
    ],
)
def test_every_point_stands_at_its_cost_and_is_named(drawn, costs, seeds):
    generator = np.random.default_rng(1)
    points = [
        Point(f"B{row}-some-name", cost, tuple(generator.normal(70, 2, seeds)), row in (0, 2))
        for row, cost in enumerate(costs)
    ]
    draw(points)
    (figure,) = drawn
    (axes,) = figure.axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    for point, scores, mean in zip(points, dots[::2], dots[1::2], strict=True):
        assert list(scores.get_xdata()) == [point.cost] * seeds
        assert list(scores.get_ydata()) == list(point.scores)
        assert mean.get_xdata() == [point.cost]
        assert mean.get_ydata() == pytest.approx([np.mean(point.scores)])
        assert (mean.get_color() == FRONT) == point.front
    names = {text.get_text(): text for text in axes.texts}
    assert names.keys() == {point.name for point in points}
    assert all(names[point.name].xy == (point.cost, point.mean) for point in points)
    assert_legible(figure)


def test_the_front_is_stairs_through_the_best_of_each_cost(drawn):
    points = [Point("b", 3, (70.0, 71.0), True), Point("a", 1, (60.0, 62.0), True)]
    points += [Point("c", 2, (50.0,), False), Point("d", 3, (72.0, 73.5), True)]
    draw(points)
    axes = drawn[0].axes[0]
    stairs = axes.lines[-1]
    assert stairs.get_drawstyle() == "steps-post"
    expected = [(1, 61), (3, 72.75), (axes.get_xlim()[1], 72.75)]
    np.testing.assert_allclose(np.transpose(stairs.get_data()), expected)


def test_a_front_without_settings_is_not_drawn(drawn):
    draw([Point("a", 1, (60.0,), False)])
    assert all(line.get_marker() == "o" for line in drawn[0].axes[0].lines)


def test_heights_are_spread_out():
    assert spread_out([], gap=0.1) == []
    assert spread_out([0.2, 0.5], gap=0.1) == [0.2, 0.5]
    assert spread_out([0.5, 0.5, 0.5], gap=0.1) == pytest.approx([0.4, 0.5, 0.6])
    assert spread_out([0.0, 0.01, 1.0], gap=0.1) == pytest.approx([0, 0.1, 1])
    generator = np.random.default_rng(0)
    for count in range(2, 12):
        heights = sorted(generator.random(count).tolist())
        placed = spread_out(heights, gap=0.09)
        assert (np.diff(placed) >= 0.09 - 1e-9).all()
        assert min(placed) >= -1e-9
        assert max(placed) <= 1 + 1e-9
