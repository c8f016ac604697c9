"""How much slower or larger others are, as bars from one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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

ROW, HEAD, GAP = 0.19, 0.2, 0.1  # inches: a bar, the name of a group, between groups
SCALE, VALUE, EDGE, TOP = 2.6, 0.45, 0.15, 0.95  # inches
MORE, LESS = "#1a73e8", "#d93025"
TICKS = (0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)


class Ratio(NamedTuple):
    """A value by that of the first, with quartiles where it was measured several times."""

    value: float
    low: float | None = None
    high: float | None = None


class Bar(NamedTuple):
    """One of those compared; None where it was not measured."""

    name: str
    ratios: Sequence[Ratio | None]


class Group(NamedTuple):
    """What is compared with one another."""

    name: str
    bars: Sequence[Bar]


def ratio_bars(
    groups: Sequence[Group], out: Path, *, columns: Sequence[str], title: str, note: str
) -> None:
    """Draws groups below each other, their bars from 1 on a logarithmic scale, a panel a column.

    Args:
        groups: at least one, with a bar or more; every bar has a ratio above 0, or None, a column.
        out: the picture, .png, .pdf or .svg.
        columns: what the ratios are of.
        title: stands above.
        note: says what 1 is.

    Raises:
        ValueError: if there is nothing to draw, or a ratio is not above 0.
    """
    bars = [bar for group in groups for bar in group.bars]
    values = [ratio.value for bar in bars for ratio in bar.ratios if ratio is not None]
    if not values or min(values) <= 0:
        raise ValueError("no ratios above 0 to draw; give at least one")
    gutter = max(text_width(plain(bar.name, limit=48), size=SMALL) for bar in bars) + 0.15
    names = max(text_width(plain(group.name), size=SMALL) for group in groups)
    texts = (1.2 * text_width(title, size=LARGE), text_width(note, size=SMALL + 1), names)
    wide = max(gutter + len(columns) * (SCALE + VALUE), *texts)
    high = len(bars) * ROW + len(groups) * (HEAD + GAP)
    figure = sheet(EDGE + wide + EDGE, height=TOP + high + 0.35)
    write(figure, title, left=EDGE, top=0.12, size=LARGE)
    write(figure, note, left=EDGE, top=0.36)
    limits = _limits(values)
    for number, name in enumerate(columns):
        left = EDGE + gutter + number * (SCALE + VALUE)
        axes = panel(figure, left=left, top=TOP, width=SCALE, height=high)
        _scale(axes, limits, high=high, name=name)
        _bars(axes, groups, column=number, named=number == 0)
    top = TOP
    for group in groups:
        write(figure, group.name, left=EDGE, top=top + 0.06, size=SMALL)
        top += HEAD + GAP + len(group.bars) * ROW
    save(figure, out)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Ticks around all values and 1."""
    low = max((tick for tick in TICKS if tick <= min(*values, 0.9)), default=min(values))
    high = min((tick for tick in TICKS if tick >= max(*values, 1.1)), default=max(values))
    return low, high


def _scale(axes: Axes, limits: tuple[float, float], *, high: float, name: str) -> None:
    axes.set_xscale("log")
    axes.set(xlim=limits, ylim=(high, 0))
    ticks = [tick for tick in TICKS if limits[0] <= tick <= limits[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks([])
    axes.tick_params(axis="both", length=0, labelcolor=GRAY)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.grid(axis="x", color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    axes.axvline(1, color=INK, lw=0.9, zorder=3)
    axes.set_title(name, loc="left", size=SMALL + 1, color=INK)


def _bars(axes: Axes, groups: Sequence[Group], *, column: int, named: bool) -> None:
    top, places, names = 0.0, [], []
    for group in groups:
        top += HEAD
        for bar in group.bars:
            places.append(top + ROW / 2)
            names.append(plain(bar.name, limit=48))
            _bar(axes, bar.ratios[column], place=places[-1])
            top += ROW
        top += GAP
    if named:
        axes.set_yticks(places, names)


def _bar(axes: Axes, ratio: Ratio | None, *, place: float) -> None:
    value = 1.0 if ratio is None else ratio.value
    color = MORE if value >= 1 else LESS
    axes.barh(place, value - 1, left=1, height=0.72 * ROW, color=color, zorder=2)
    end = max(value, 1.0)
    if ratio is not None and ratio.low is not None and ratio.high is not None:
        axes.plot([ratio.low, ratio.high], [place, place], color=INK, lw=0.9, zorder=4)
        end = max(end, ratio.high)
    axes.annotate(
        "–" if ratio is None else _digits(value),
        (end, place),
        xytext=(3, 0),
        textcoords="offset points",
        va="center_baseline",
        size=SMALL,
        color=GRAY if ratio is None else INK,
        bbox={"fc": "white", "ec": "none", "pad": 0.5},
        zorder=3,
    )


def _digits(value: float) -> str:
    return f"{value:.{max(0, 2 - max(0, math.floor(math.log10(value))))}f}"
