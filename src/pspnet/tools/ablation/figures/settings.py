"""Scores by setting, every seed of them, beside the paired differences that decide the marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pspnet.plotting.style import GRAY, INK, LARGE, NORMAL, RULE, SMALL, plain, save
from pspnet.tools.ablation.statistics.paired import Difference, Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEED, REFERENCE = "#1a73e8", "#d9480f"
ROW, HEAD, WIDE, MARGIN = 0.27, 0.65, 2.3, 0.9  # inches
LONGEST = 32  # characters of a setting's name


class Best(NamedTuple):
    """The best setting, and the difference to it of each other one at the level that decides."""

    place: int
    differences: Sequence[Difference | None]


class Panel(NamedTuple):
    """A score in per cent and its difference to the reference, an entry per setting."""

    title: str
    scores: Sequence[Scores]
    differences: Sequence[Difference | None]
    best: Best | None = None  # in the first panel alone


def draw_settings(
    panels: Sequence[Panel],
    out: Path,
    *,
    title: str,
    settings: Sequence[str],
    reference: str,
    marks: Sequence[str],
) -> None:
    """Draw a line per setting: scores, and differences with intervals to reference and best.

    Intervals end where a score would be below 0 or above 100 %; an arrow says that they continue.

    Args:
        panels: mIoU first; a setting may lack scores in the others.
        out: the image, .png, .pdf or .svg.
        title: stands above the panels.
        settings: names of the settings, of which each has scores in some panel.
        reference: the setting that the differences are to.
        marks: a few words per setting, beside the first panel's differences.
    """
    # a reference that has not run has no differences
    columns = 2 if any(any(panel.differences) for panel in panels) else 1
    best = panels[0].best
    figure, grid = _axes(panels, columns=columns, lines=len(settings))
    for axes, panel in zip(grid, panels, strict=True):
        _draw_scores(axes[0], panel, first=settings[0] == reference)
        if columns == 2:
            _draw_differences(axes[1], panel, settings=settings, reference=reference)
    if best is not None and columns == 2:
        _draw_best(grid[0][2], panels[0], best=best, settings=settings)
    _write_marks(grid[0][-1], marks)
    for axes in grid:
        axes[0].set_yticks(range(len(settings)), [plain(s, limit=LONGEST) for s in settings])
        axes[0].set_ylim(len(settings) - 0.5, -0.5)
    figure.suptitle(plain(title), size=LARGE, color=INK, weight="bold")
    _legend(figure, reference=reference, differences=columns == 2, best=best is not None)
    save(figure, out)


def _axes(
    panels: Sequence[Panel], *, columns: int, lines: int
) -> tuple[Figure, list[Sequence[Axes]]]:
    """Return a figure and the axes of each panel, a row per panel."""
    from matplotlib.figure import Figure

    first = columns + (panels[0].best is not None and columns == 2)
    size = (first * WIDE + 2 * MARGIN, len(panels) * (lines * ROW + HEAD) + 0.6)
    figure = Figure(figsize=size, dpi=160, layout="constrained")
    grid = figure.add_gridspec(len(panels), first)
    rows: list[Sequence[Axes]] = []
    for row in range(len(panels)):
        start = figure.add_subplot(grid[row, 0])
        count = columns if row else first
        rest = [figure.add_subplot(grid[row, place], sharey=start) for place in range(1, count)]
        for axes in rest:
            axes.tick_params(axis="y", labelleft=False)
        rows.append([start, *rest])
    return figure, rows


def _draw_scores(axes: Axes, panel: Panel, *, first: bool) -> None:
    _style(axes, panel.title)
    if first and panel.scores[0]:
        mean = float(np.mean([*panel.scores[0].values()]))
        axes.axvline(mean, color=REFERENCE, lw=0.9, ls="--", zorder=1)
    for place, scores in enumerate(panel.scores):
        x = np.array([*scores.values()])  # (n,)
        if not len(x):
            _say(axes, place, "no score")
            continue
        # the order of the seeds is the same for all settings, so that pairs can be seen
        y = place + np.linspace(-0.2, 0.2, len(x)) if len(x) > 1 else [place]
        color = REFERENCE if first and not place else SEED
        axes.scatter(x, y, s=13, color=color, ec="white", lw=0.3, zorder=3)
        axes.plot([x.mean()] * 2, [place - 0.3, place + 0.3], color=INK, lw=1.6, zorder=4)
    axes.margins(x=0.1)


def _draw_differences(axes: Axes, panel: Panel, *, settings: Sequence[str], reference: str) -> None:
    _style(axes, f"Δ to {plain(reference, limit=LONGEST)}")
    axes.axvline(0, color=REFERENCE, lw=0.9, ls="--", zorder=1)
    first = [*panel.scores[0].values()]
    for place, difference in enumerate(panel.differences):
        if difference is None:
            _say(axes, place, "reference" if settings[place] == reference else "no pair")
        else:
            _draw_interval(axes, difference, place=place, base=float(np.mean(first)))
    axes.margins(x=0.1)


def _draw_best(axes: Axes, panel: Panel, *, best: Best, settings: Sequence[str]) -> None:
    _style(axes, f"Δ to the best: {plain(settings[best.place], limit=LONGEST)}")
    axes.axvline(0, color=INK, lw=0.9, ls=":", zorder=1)
    base = float(np.mean([*panel.scores[best.place].values()]))
    for place, difference in enumerate(best.differences):
        if difference is None:
            _say(axes, place, "best" if place == best.place else "no pair")
        else:
            _draw_interval(axes, difference, place=place, base=base)
    axes.margins(x=0.1)


def _say(axes: Axes, place: int, text: str) -> None:
    box = {"fc": "white", "ec": "none", "pad": 1.0}
    if text in ("reference", "best"):  # on the line at 0
        axes.text(0, place, text, bbox=box, zorder=5, **NOTE)
    else:
        axes.text(
            0.5, place, text, transform=axes.get_yaxis_transform(), bbox=box, zorder=5, **NOTE
        )


def _draw_interval(axes: Axes, difference: Difference, *, place: int, base: float) -> None:
    """Draw a difference to a score of `base` %, and its interval as far as scores can be."""
    color = INK if difference.significant else GRAY
    axes.plot(difference.mean, place, "|", ms=9, mew=1.6, color=color, zorder=4)
    if difference.low is None or difference.high is None:
        return
    low, high = max(difference.low, -base), min(difference.high, 100 - base)
    axes.plot([low, high], [place] * 2, color=color, lw=1.4, zorder=3)
    for end, cut, arrow in ((low, difference.low < low, "<"), (high, difference.high > high, ">")):
        if cut:
            axes.plot(end, place, arrow, ms=4, color=color, zorder=3)


def _style(axes: Axes, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(plain(title, limit=36), loc="left", size=NORMAL, color=INK)
    axes.tick_params(axis="y", length=0, labelsize=NORMAL, labelcolor=INK)
    axes.tick_params(axis="x", labelsize=SMALL, color=RULE, labelcolor=GRAY)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=RULE, lw=0.6)


NOTE: dict[str, Any] = {"size": SMALL, "color": GRAY, "ha": "center", "va": "center"}


def _write_marks(axes: Axes, marks: Sequence[str]) -> None:
    for place, mark in enumerate(marks):
        axes.annotate(
            plain(mark, limit=2 * LONGEST),
            (1, place),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            size=SMALL,
            color=GRAY,
        )


def _legend(figure: Figure, *, reference: str, differences: bool, best: bool) -> None:
    from matplotlib.lines import Line2D

    name = plain(reference, limit=LONGEST)
    entries = [
        Line2D([], [], marker="o", ls="", ms=4, color=SEED, label="score of a seed"),
        Line2D([], [], marker="|", ls="", ms=9, mew=1.6, color=INK, label="mean"),
        Line2D([], [], color=REFERENCE, lw=0.9, ls="--", label=f"mean of {name}, the reference"),
    ]
    if differences:
        entries += [
            Line2D([], [], color=INK, lw=1.4, label="95 % paired interval without 0: told apart"),
            Line2D([], [], color=GRAY, lw=1.4, label="with 0: not told apart (≈)"),
        ]
    if best:
        said = "to the best: intervals at the level of Holm's correction"
        entries.append(Line2D([], [], color=INK, lw=0.9, ls=":", label=said))
    figure.legend(
        handles=entries,
        loc="outside lower center",
        ncols=2 if len(entries) > 3 else 3,
        fontsize=SMALL,
        labelcolor=INK,
        frameon=False,
    )
