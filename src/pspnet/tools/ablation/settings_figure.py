"""The settings of an ablation against their scores: every seed, mean and spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pspnet.errors import UserError
from pspnet.plotting import (
    GRAY,
    INK,
    LARGE,
    NORMAL,
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
    from matplotlib.figure import Figure

    Scores = Mapping[int, float]  # per cent by seed

SEED, FIRST = "#1a73e8", "#d9480f"
ROW, WIDE, GAP, EDGE, TOP, FOOT = 0.3, 2.0, 0.36, 0.15, 0.85, 0.32  # inches
ACROSS = 4  # panels beside each other
LONGEST = 32  # characters of a setting's name


def setting_scores(
    panels: Mapping[str, Mapping[str, Scores]],
    out: Path,
    *,
    title: str,
    marks: Mapping[str, str],
) -> None:
    """Draws a panel a score and in it a line a setting: seeds as dots, mean, standard deviation.

    The first setting's mean and standard deviation go through each panel as a line and a band.

    Args:
        panels: scores in per cent by panel, setting and seed; the same settings in each panel, and
            no seeds for those that have not run. Each panel has a scale of its own.
        out: the picture, .png, .pdf or .svg.
        title: stands above the panels.
        marks: a few words to the right of the first panel, by setting.

    Raises:
        ValueError: if there is no panel, or panels differ in their settings.
    """
    names = {tuple(scores) for scores in panels.values()}
    if len(names) != 1 or not (settings := names.pop()):
        raise UserError("panels without settings, or of different ones; give the same for each")
    gutter = max(text_width(_name(name), size=NORMAL) for name in settings) + 0.12
    beside = max(text_width(mark, size=SMALL) for mark in ["", *marks.values()]) + 0.06
    columns, lines = min(len(panels), ACROSS), math.ceil(len(panels) / ACROSS)
    high = len(settings) * ROW
    width = EDGE + gutter + columns * (WIDE + GAP) + beside + EDGE - GAP + 0.1
    head = text_width(title, size=LARGE) * 1.2 + 2 * EDGE
    figure = sheet(max(width, head), height=TOP + lines * (high + FOOT + 0.3) - 0.3 + 0.05)
    _head(figure, title, first=settings[0])
    for number, (score, by_setting) in enumerate(panels.items()):
        line, column = divmod(number, ACROSS)
        left = EDGE + gutter + column * (WIDE + GAP) + (beside if column else 0)
        top = TOP + line * (high + FOOT + 0.3)
        axes = panel(figure, left=left, top=top, width=WIDE, height=high)
        _panel(axes, [*by_setting.values()], title=score)
        axes.set_yticks(range(len(settings)), ["" if column else _name(s) for s in settings])
        if not number:
            _write_marks(axes, [marks.get(name, "") for name in settings])
    save(figure, out)


def _head(figure: Figure, title: str, *, first: str) -> None:
    write(figure, title, left=EDGE, top=0.12, size=LARGE)
    about = f"dot: a seed · bar: mean ± standard deviation · orange: {_name(first)}"
    write(figure, about, left=EDGE, top=0.36, size=SMALL)


def _panel(axes: Axes, scores: Sequence[Scores], *, title: str) -> None:
    axes.set_title(plain(title, limit=36), loc="left", size=NORMAL, color=INK, weight="bold", pad=4)
    axes.set_ylim(len(scores) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelsize=NORMAL)
    axes.tick_params(axis="x", labelcolor=GRAY)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=RULE, lw=0.6)
    first = np.array([*scores[0].values()])  # (n,)
    if len(first):
        axes.axvline(first.mean(), color=FIRST, lw=0.9, ls=(0, (4, 3)), zorder=1)
    if len(first) > 1:
        mean, deviation = first.mean(), first.std(ddof=1)
        axes.axvspan(mean - deviation, mean + deviation, color=FIRST, alpha=0.1, lw=0, zorder=0)
    for place, values in enumerate(scores):
        _setting(axes, values, place=place, color=SEED if place else FIRST)
    _scale(axes, [value for values in scores for value in values.values()])


def _setting(axes: Axes, scores: Scores, *, place: int, color: str) -> None:
    x = np.array([*scores.values()])  # (n,)
    if not len(x):
        return
    # seeds from top to bottom in the same order everywhere, so that pairs are seen
    heights = place + (np.linspace(-0.2, 0.2, len(x)) if len(x) > 1 else np.zeros(1))
    axes.scatter(x, heights, s=13, color=color, ec="white", lw=0.3, zorder=5)
    if len(x) > 1:
        mean, deviation = x.mean(), x.std(ddof=1)
        axes.plot([mean - deviation, mean + deviation], [place, place], color=INK, lw=1.2, zorder=4)
        axes.plot([mean, mean], [place - 0.3, place + 0.3], color=INK, lw=1.8, zorder=4)


def _scale(axes: Axes, values: list[float]) -> None:
    from matplotlib.ticker import MaxNLocator

    if not values:
        axes.set_xlim(0, 100)
        axes.set_xticks([])
        axes.text(0.5, 0.5, "no run", transform=axes.transAxes, size=SMALL, color=GRAY, ha="center")
        return
    low, high = axes.dataLim.intervalx
    room = max(0.07 * (high - low), 0.5)
    axes.set_xlim(low - room, high + room)
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _write_marks(axes: Axes, marks: list[str]) -> None:
    for place, mark in enumerate(marks):
        axes.annotate(
            mark,
            (1, place),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            va="center_baseline",
            size=SMALL,
            color=GRAY,
        )


def _name(setting: str) -> str:
    return plain(setting, limit=LONGEST)
