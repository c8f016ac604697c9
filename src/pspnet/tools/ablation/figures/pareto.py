"""Scores against costs: which settings are worth what they need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pspnet.plotting.style import GRAY, INK, LARGE, RULE, SMALL, plain, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FRONT, BEHIND = "#1a73e8", "#9aa0a6"
WIDE, HIGH = 7.5, 4.2  # inches
LABEL = 0.17  # inches from one label to the next, at least


class Point(NamedTuple):
    """A setting: its cost, its scores in per cent, one per seed, and whether it is on the front."""

    name: str
    cost: float
    scores: tuple[float, ...]
    front: bool

    @property
    def mean(self) -> float:
        return float(np.mean(self.scores))


def draw_pareto(points: Sequence[Point], out: Path, *, title: str, cost: str) -> None:
    """Draw every score and the mean of each setting at its cost, and the front as stairs.

    The names stand in a column to the right, in the order of the means.

    Args:
        points: at least one, each with a score or more.
        out: the image, .png, .pdf or .svg.
        title: stands above the axes.
        cost: the label of the horizontal axis, with its unit.
    """
    from matplotlib.figure import Figure

    height = max(HIGH, len(points) * LABEL + 1.2)
    figure = Figure(figsize=(WIDE, height), dpi=160, layout="constrained")
    figure.suptitle(plain(title), size=LARGE, color=INK, weight="bold")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(RULE)
    axes.set_axisbelow(True)
    axes.grid(color=RULE, lw=0.6)
    axes.tick_params(labelsize=SMALL, color=RULE, labelcolor=INK)
    axes.set_xlabel(f"{cost}{_spread(points)}", size=SMALL, color=GRAY)
    axes.set_ylabel("mIoU, %", size=SMALL, color=GRAY)
    for number, point in enumerate(points):
        color = FRONT if point.front else BEHIND
        at = [point.cost] * len(point.scores)
        labels = [None, None] if number else ["score of a seed", "mean"]
        axes.plot(at, point.scores, "o", ms=2.5, color=color, alpha=0.5, mew=0, label=labels[0])
        axes.plot(point.cost, point.mean, "o", ms=6, color=color, mec="white", label=labels[1])
    axes.margins(0.08)
    _draw_front(axes, [point for point in points if point.front])
    _write_names(axes, points, gap=LABEL / (height - 1.2))
    figure.legend(
        loc="outside lower center", ncols=3, fontsize=SMALL, labelcolor=INK, frameon=False
    )
    save(figure, out)


def _spread(points: Sequence[Point]) -> str:
    """Return what the axis, which is fitted to the costs, hides: that they hardly differ."""
    costs = [point.cost for point in points]
    more = 100 * (max(costs) / min(costs) - 1)
    return f" (all within {more:.2g} %)" if 0 < more < 10 else ""


def _draw_front(axes: Axes, front: Sequence[Point]) -> None:
    """Draw stairs through the best mean of each cost on the front, on to the right end."""
    best: dict[float, float] = {}
    for point in front:
        best[point.cost] = max(point.mean, best.get(point.cost, -np.inf))
    costs = sorted(best)
    if costs:
        right = axes.get_xlim()[1]
        means = [best[cost] for cost in costs]
        label = "front: above every cheaper setting by a paired 95 % interval without 0"
        axes.plot(
            [*costs, right],
            [*means, means[-1]],
            drawstyle="steps-post",
            color=FRONT,
            lw=1,
            alpha=0.5,
            label=label,
        )
        axes.set_xlim(right=right)


def _write_names(axes: Axes, points: Sequence[Point], *, gap: float) -> None:
    """Write the names beside the axes, `gap` of its height apart at least, with lines to them."""
    low, high = axes.get_ylim()
    ordered = sorted(points, key=lambda point: (point.mean, point.cost))
    heights = [(point.mean - low) / (high - low) for point in ordered]
    for place, label in zip(ordered, spread_out(heights, gap=gap), strict=True):
        axes.annotate(
            plain(place.name, limit=32),
            (place.cost, place.mean),
            xytext=(1.03, label),
            textcoords="axes fraction",
            va="center",
            size=SMALL,
            color=INK if place.front else GRAY,
            arrowprops={"arrowstyle": "-", "color": RULE, "lw": 0.6, "shrinkB": 4, "zorder": 1},
        )


def spread_out(heights: Sequence[float], *, gap: float) -> list[float]:
    """Move ascending heights apart to at least `gap`, and keep them within 0 to 1 where they fit.

    Heights that are too close become evenly spaced around their common mean.
    """
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _lowest(groups[-1], gap) < _highest(groups[-2], gap) + gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_lowest(group, gap) + gap * place for group in groups for place in range(len(group))]


def _lowest(group: Sequence[float], gap: float) -> float:
    extent = gap * (len(group) - 1)
    return min(max(sum(group) / len(group) - extent / 2, 0.0), max(1 - extent, 0.0))


def _highest(group: Sequence[float], gap: float) -> float:
    return _lowest(group, gap) + gap * (len(group) - 1)
