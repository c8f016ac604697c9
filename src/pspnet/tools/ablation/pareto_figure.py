"""Scores against costs: which settings are worth what they need."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pspnet.errors import UserError
from pspnet.plotting import (
    GRAY,
    INK,
    LARGE,
    RULE,
    SMALL,
    panel,
    plain,
    save,
    sheet,
    text_width,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FRONT, BEHIND = "#1a73e8", "#9aa0a6"
WIDE, HIGH, LEFT, TOP, EDGE = 6.2, 4.0, 0.6, 0.7, 0.2  # inches
DOT, STEP = 0.05, 0.12  # inches: from a point's middle to its rim, between points of equal cost


class Point(NamedTuple):
    """A setting: its cost, its scores in per cent, one a seed, whether it is on the front."""

    name: str
    cost: float
    scores: tuple[float, ...]
    front: bool


class Box(NamedTuple):
    """A rectangle in inches from the panel's lower left corner."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        """Whether the two have an area in common."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )


def scores_by_cost(points: Sequence[Point], out: Path, *, title: str, cost: str) -> None:
    """Draws mean scores with their standard deviations against costs, and the front as stairs.

    Points of equal cost stand side by side, around it.

    Args:
        points: at least one, each with a score or more.
        out: the picture, .png, .pdf or .svg.
        title: stands above.
        cost: what the horizontal axis shows, with its unit.

    Raises:
        ValueError: if there is no point.
    """
    if not points:
        raise UserError("no points to draw; give at least one")
    figure = sheet(LEFT + WIDE + EDGE, height=TOP + HIGH + 0.5)
    write(figure, title, left=EDGE, top=0.12, size=LARGE)
    about = (
        "mean ± standard deviation over seeds · blue: the front of what the spread separates · "
        "equal costs stand side by side"
    )
    write(figure, about, left=EDGE, top=0.36, size=SMALL)
    axes = panel(figure, left=LEFT, top=TOP, width=WIDE, height=HIGH)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(color=RULE, lw=0.6)
    axes.set_xlabel(cost, size=SMALL, color=GRAY)
    axes.set_ylabel("mIoU, %", size=SMALL, color=GRAY)
    _scale(axes, points)
    stairs = _stairs(axes, [point for point in points if point.front])
    places = _side_by_side(axes, points)
    for point, x in zip(points, places, strict=True):
        color = FRONT if point.front else BEHIND
        axes.plot([x, x], _ends(point), color=color, lw=1, zorder=3)
        axes.plot(x, np.mean(point.scores), "o", ms=5.5, color=color, zorder=3)
    _label(axes, points, places=places, taken=stairs)
    save(figure, out)


def _side_by_side(axes: Axes, points: Sequence[Point]) -> list[float]:
    """Where each point stands on the axis of costs: at its own, or beside those of equal cost."""
    low, high = axes.get_xlim()
    step = STEP * (high - low) / WIDE
    places = []
    for number, point in enumerate(points):
        equal = [other for other, p in enumerate(points) if p.cost == point.cost]
        places.append(point.cost + step * (equal.index(number) - (len(equal) - 1) / 2))
    return places


def _ends(point: Point) -> tuple[float, float]:
    """The mean less and plus the sample standard deviation, 0 of one score."""
    mean = float(np.mean(point.scores))
    deviation = float(np.std(point.scores, ddof=1)) if len(point.scores) > 1 else 0.0
    return mean - deviation, mean + deviation


def _scale(axes: Axes, points: Sequence[Point]) -> None:
    costs = [point.cost for point in points]
    heights = [end for point in points for end in _ends(point)]
    across, up = max(costs) - min(costs), max(heights) - min(heights)
    # room for labels; of equal costs, a tenth of them to each side
    side = 0.15 * across or 0.1 * max(costs) or 1.0
    axes.set_xlim(min(costs) - side, max(costs) + 1.6 * side)
    axes.set_ylim(min(heights) - max(0.12 * up, 0.5), max(heights) + max(0.12 * up, 0.5))


def _stairs(axes: Axes, front: list[Point]) -> list[Box]:
    """Draws the front; the rectangles of its lines."""
    heights: dict[float, float] = {}
    for point in front:
        heights[point.cost] = max(float(np.mean(point.scores)), heights.get(point.cost, 0.0))
    corners: list[tuple[float, float]] = []
    for cost in sorted(heights):
        corners += [(cost, corners[-1][1])] if corners else []
        corners.append((cost, heights[cost]))
    corners += [(axes.get_xlim()[1], corners[-1][1])] if corners else []
    axes.plot(*zip(*corners, strict=True), color=FRONT, lw=1, alpha=0.5, zorder=2)
    ends = [_inches(axes, *corner) for corner in corners]
    return [
        Box(left - 0.01, min(one, two) - 0.01, right + 0.01, max(one, two) + 0.01)
        for (left, one), (right, two) in pairwise(ends)
    ]


def _label(axes: Axes, points: Sequence[Point], *, places: list[float], taken: list[Box]) -> None:
    """Names beside the points, where they hide neither each other nor anything drawn.

    A name that stands away from its point has a line to it, which crosses no other point or name.
    """
    standing = [*zip(points, places, strict=True)]
    dots = [_drawn(axes, point, x)[0] for point, x in standing]
    taken = [*taken, *(box for point, x in standing for box in _drawn(axes, point, x))]
    names: list[Box] = []
    for (point, cost), dot in zip(standing, dots, strict=True):
        name = plain(point.name, limit=32)
        middle = _inches(axes, cost, float(np.mean(point.scores)))
        others = [box for box in (*dots, *names) if box is not dot]
        for box in _places(*middle, text_width(name, size=SMALL), 1.15 * SMALL / 72):
            leader = _leader(middle, box)
            if _free([box], taken) and _free(leader, others):
                taken += [box, *leader]
                names.append(box)
                _write(axes, name, at=middle, place=box, lead=bool(leader))
                break  # of a hundred points some find no place and go without


def _free(boxes: list[Box], taken: list[Box]) -> bool:
    return not any(box.meets(other) for box in boxes for other in taken)


def _leader(point: tuple[float, float], name: Box) -> list[Box]:
    """Small rectangles along the line from a point to its name; none if that is beside it."""
    end = _nearest(point, name)
    away = math.dist(point, end)
    if away <= 2 * DOT + 0.06:
        return []
    shares = np.linspace(DOT / away, 1, max(int(away / 0.04), 2), endpoint=False)
    along = [
        (point[0] + s * (end[0] - point[0]), point[1] + s * (end[1] - point[1])) for s in shares
    ]
    return [Box(x - 0.01, y - 0.01, x + 0.01, y + 0.01) for x, y in along]


def _nearest(point: tuple[float, float], box: Box) -> tuple[float, float]:
    return min(max(point[0], box.left), box.right), min(max(point[1], box.bottom), box.top)


def _drawn(axes: Axes, point: Point, cost: float) -> list[Box]:
    """The rectangles of a point that stands at this cost, and of its error bar."""
    x, y = _inches(axes, cost, float(np.mean(point.scores)))
    low, high = (_inches(axes, cost, end)[1] for end in _ends(point))
    return [Box(x - DOT, y - DOT, x + DOT, y + DOT), Box(x - 0.015, low, x + 0.015, high)]


def _inches(axes: Axes, cost: float, score: float) -> tuple[float, float]:
    x, y = axes.transLimits.transform((cost, score))
    return float(x) * WIDE, float(y) * HIGH


def _places(x: float, y: float, width: float, height: float) -> Iterator[Box]:
    """Rectangles of this size inside the panel, from beside (x, y) outwards."""
    for ring in range(1, 60):
        away = DOT + 0.03 + 0.08 * (ring - 1)
        for turn in (0, 8, 2, -2, 6, -6, 4, -4, 1, -1, 7, -7, 3, -3, 5, -5):
            across, up = math.cos(turn * math.pi / 8), math.sin(turn * math.pi / 8)
            left = x + away * across - width * (1 - across) / 2
            bottom = y + away * up - height * (1 - up) / 2
            box = Box(left, bottom, left + width, bottom + height)
            if box.left >= 0 and box.right <= WIDE and box.bottom >= 0 and box.top <= HIGH:
                yield box


def _write(axes: Axes, name: str, *, at: tuple[float, float], place: Box, lead: bool) -> None:
    if lead:
        end = _nearest(at, place)
        ends = [(at[0] / WIDE, end[0] / WIDE), (at[1] / HIGH, end[1] / HIGH)]
        axes.plot(*ends, transform=axes.transAxes, color=GRAY, lw=0.5, zorder=1)
    axes.annotate(
        name,
        ((place.left + place.right) / 2 / WIDE, (place.bottom + place.top) / 2 / HIGH),
        xycoords="axes fraction",
        ha="center",
        va="center",
        size=SMALL,
        color=INK,
        zorder=5,
    )
