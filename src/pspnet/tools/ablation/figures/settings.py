"""Scores by setting, every seed of them, beside the paired differences to the first setting."""

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
ROW, HEAD, WIDE, MARGIN = 0.27, 0.65, 2.1, 1.8  # inches
LONGEST = 32  # characters of a setting's name


class Panel(NamedTuple):
    """A score in per cent and its difference to the reference, an entry per setting."""

    title: str
    scores: Sequence[Scores]
    differences: Sequence[Difference | None]


def draw_settings(
    panels: Sequence[Panel],
    out: Path,
    *,
    title: str,
    settings: Sequence[str],
    reference: str,
    marks: Sequence[str],
) -> None:
    """Draw two axes per panel with a line per setting: scores, and differences with intervals.

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
    across = min(len(panels), 2)
    figure, grid = _axes(len(panels), columns=columns, across=across, lines=len(settings))
    for axes, panel in zip(grid, panels, strict=True):
        _draw_scores(axes[0], panel, first=settings[0] == reference)
        if columns == 2:
            _draw_differences(axes[1], panel, settings=settings, reference=reference)
    _write_marks(grid[0][-1], marks)
    grid[0][0].set_yticks(range(len(settings)), [plain(s, limit=LONGEST) for s in settings])
    grid[0][0].set_ylim(len(settings) - 0.5, -0.5)
    figure.suptitle(plain(title), size=LARGE, color=INK, weight="bold")
    _legend(figure, reference=reference, differences=columns == 2, narrow=across == 1)
    save(figure, out)


def _axes(
    panels: int, *, columns: int, across: int, lines: int
) -> tuple[Figure, list[Sequence[Axes]]]:
    """Return a figure and the axes of each panel, `columns` per panel, `across` panels per row."""
    from matplotlib.figure import Figure

    down = -(-panels // across)
    size = (across * columns * WIDE + MARGIN, down * (lines * ROW + HEAD) + 0.6)
    figure = Figure(figsize=size, dpi=160, layout="constrained")
    axes = figure.subplots(down, across * columns, sharey=True, squeeze=False).flatten()
    for spare in axes[panels * columns :]:
        figure.delaxes(spare)
    return figure, [list(axes[k * columns : (k + 1) * columns]) for k in range(panels)]


def _draw_scores(axes: Axes, panel: Panel, *, first: bool) -> None:
    _style(axes, panel.title)
    if first and panel.scores[0]:
        mean = float(np.mean([*panel.scores[0].values()]))
        axes.axvline(mean, color=REFERENCE, lw=0.9, ls="--", zorder=1)
    for place, scores in enumerate(panel.scores):
        x = np.array([*scores.values()])  # (n,)
        if not len(x):
            axes.text(0.5, place, "no score", transform=axes.get_yaxis_transform(), **NOTE)
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
    for place, difference in enumerate(panel.differences):
        if difference is None:
            said = "reference" if settings[place] == reference else "no pair"
            axes.text(0.5, place, said, transform=axes.get_yaxis_transform(), **NOTE)
            continue
        color = INK if difference.significant else GRAY
        axes.plot(difference.mean, place, "|", ms=9, mew=1.6, color=color, zorder=4)
        if difference.low is not None and difference.high is not None:
            axes.plot([difference.low, difference.high], [place] * 2, color=color, lw=1.4, zorder=3)
    axes.margins(x=0.1)


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


def _legend(figure: Figure, *, reference: str, differences: bool, narrow: bool) -> None:
    from matplotlib.lines import Line2D

    name = plain(reference, limit=LONGEST)
    entries = [
        Line2D([], [], marker="o", ls="", ms=4, color=SEED, label="score of a seed"),
        Line2D([], [], marker="|", ls="", ms=9, mew=1.6, color=INK, label="mean"),
        Line2D([], [], color=REFERENCE, lw=0.9, ls="--", label=name),
    ]
    if differences:
        said = "95 % paired interval"
        entries += [
            Line2D([], [], color=INK, lw=1.4, label=f"{said} without 0"),
            Line2D([], [], color=GRAY, lw=1.4, label=f"{said} with 0: ≈ {name}"),
        ]
    figure.legend(
        handles=entries,
        loc="outside lower center",
        ncols=3 if narrow else len(entries),
        fontsize=SMALL,
        labelcolor=INK,
        frameon=False,
    )
