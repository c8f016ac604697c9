"""Bars of each variant's time and memory over the baseline's, on a logarithmic scale from 1."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pspnet.plotting.style import GRAY, INK, LARGE, NORMAL, RULE, SMALL, plain, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAR, LINE, MARGIN = 0.19, 0.13, 0.2  # inches: a bar, a line of a heading, around a group
WIDTH, HEAD = 8.0, 0.9  # inches: the figure, its title, legend and axis labels together
HEADING = 44  # characters per line, so that it ends before the panel to the right
MORE, LESS = "#1a73e8", "#d93025"
TICKS = tuple(2.0**power for power in range(-7, 8))


class Ratio(NamedTuple):
    """A value over the baseline's, with quartiles where it was measured several times."""

    value: float
    low: float | None = None
    high: float | None = None


class Bar(NamedTuple):
    """A variant, with a ratio per column; None where it was not measured."""

    name: str
    ratios: Sequence[Ratio | None]


class Group(NamedTuple):
    """Variants of one case."""

    name: str
    bars: Sequence[Bar]


def ratio_bars(
    groups: Sequence[Group], out: Path, *, columns: Sequence[str], title: str, note: str
) -> None:
    """Draw a panel per group and column and save the figure.

    Args:
        groups: at least one, with a bar or more; ratios are above 0.
        out: image file, .png, .pdf or .svg.
        columns: name of each bar's ratios.
        title: heading of the figure.
        note: line below the figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    headings = [textwrap.fill(plain(group.name, limit=180), HEADING) for group in groups]
    bars = [len(group.bars) for group in groups]
    lines = sum(1 + heading.count("\n") for heading in headings)
    height = HEAD + sum(bars) * BAR + lines * LINE + len(groups) * MARGIN
    layout = ConstrainedLayoutEngine(wspace=0.05, hspace=0.02, w_pad=0.06, h_pad=0.04)
    figure = Figure(figsize=(WIDTH, height), dpi=160, facecolor="white", layout=layout)
    panels = figure.subplots(
        *(len(groups), len(columns)),
        sharex=True,
        squeeze=False,
        gridspec_kw={"height_ratios": bars},
    )
    for row, group, heading in zip(panels, groups, headings, strict=True):
        row[0].set_title(heading, loc="left", size=SMALL, color=INK, weight="bold", pad=7)
        for column, axes in enumerate(row):
            _draw_panel(axes, group, column=column)
    _set_scale(panels[-1], groups, columns)
    _write_texts(figure, title=title, note=note)
    save(figure, out)


def _draw_panel(axes: Axes, group: Group, *, column: int) -> None:
    for place, bar in enumerate(group.bars):
        _draw_bar(axes, bar.ratios[column], place=place)
    names = [plain(bar.name, limit=48) for bar in group.bars] if column == 0 else []
    axes.set_yticks([*range(len(names))], names)
    axes.set_ylim(len(group.bars) - 0.5, -0.5)
    axes.tick_params(axis="both", length=0, labelsize=SMALL, labelcolor=INK)
    axes.spines[:].set_visible(False)
    axes.grid(axis="x", color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    axes.axvline(1, color=INK, lw=0.9, zorder=3)


def _draw_bar(axes: Axes, ratio: Ratio | None, *, place: int) -> None:
    value = 1.0 if ratio is None else ratio.value
    color = MORE if value >= 1 else LESS
    axes.barh(place, value - 1, left=1, height=0.72, color=color, zorder=2)
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


def _set_scale(lowest: Sequence[Axes], groups: Sequence[Group], columns: Sequence[str]) -> None:
    """Scale all panels alike, with ticks around all values and 1, and name the columns."""
    ratios = [ratio for group in groups for bar in group.bars for ratio in bar.ratios if ratio]
    values = [ratio.value for ratio in ratios]
    low = max((tick for tick in TICKS if tick <= min(*values, 0.9)), default=min(values))
    high = min((tick for tick in TICKS if tick >= max(*values, 1.1)), default=max(values))
    ticks = [tick for tick in TICKS if low <= tick <= high]
    for axes, name in zip(lowest, columns, strict=True):
        axes.set(xscale="log", xlim=(low, high))
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(name, size=NORMAL, color=INK)


def _write_texts(figure: Figure, *, title: str, note: str) -> None:
    from matplotlib.patches import Patch

    figure.suptitle(title, x=0.01, ha="left", size=LARGE, weight="bold", color=INK)
    figure.supxlabel(plain(note), x=0.01, ha="left", size=SMALL, color=GRAY)
    entries = [
        Patch(color=MORE, label="blue, right of 1: needs more than ours"),
        Patch(color=LESS, label="red, left of 1: needs less than ours"),
    ]
    figure.legend(
        handles=entries,
        loc="outside upper right",
        ncols=len(entries),
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK,
    )


def _digits(value: float) -> str:
    return f"{value:.{max(0, 2 - max(0, math.floor(math.log10(value))))}f}"
