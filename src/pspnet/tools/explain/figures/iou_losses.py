"""Losses of IoU by class and ablated part, as a table of colors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pspnet.plotting.contrast import readable_on
from pspnet.plotting.fonts import width_in_letters
from pspnet.plotting.style import GRAY, INK, RULE, SMALL, class_labels, save
from pspnet.tools.explain.figures.sheet import sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

ROW, COLUMN, BAR = 0.2, 0.7, 0.9  # inches
PAGE = math.sqrt(2)  # height of a sheet of A4 by its width
FULL = 60.0  # percentage points; beyond them the color stays
COLORS, FAINT = "RdBu_r", "#5f6368"  # the latter on white
NOTE = (
    "Percentage points lost, gained where negative. Gray on white: indistinguishable from no change"
)
SHARED = "; all columns of classes share one color scale"


def draw_losses(
    losses: np.ndarray,
    significant: np.ndarray,
    out: Path,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    about: str,
) -> None:
    """Draw losses of IoU as a table of colors, side by side where it is taller than a page.

    Args:
        losses: in percentage points, (rows, columns), nan where there is none.
        significant: the loss differs from 0, (rows, columns); the others have no color.
        out: the figure, .png, .pdf or .svg.
        rows: names of the classes.
        columns: ablated parts.
        title: text above the table.
        about: network, file and number of images.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    labels = class_labels(rows)
    wide = 0.075 * max(map(width_in_letters, labels)) + 0.3 + len(columns) * COLUMN
    each = rows_per_panel(len(rows), wide=wide)
    count = math.ceil(len(rows) / each)
    note = f"{about}\n{NOTE}{SHARED if count > 1 else ''}."
    size = (max(count * wide + BAR, 5.6), 0.5 + max(each, 5) * ROW)
    figure = sheet(*size, title=title, about=note)
    colors = ScalarMappable(Normalize(-1, 1), COLORS)
    panels = figure.subplots(1, count, squeeze=False).ravel()
    for axes, start in zip(panels, range(0, len(rows), each), strict=True):
        part = slice(start, start + each)
        _draw_table(axes, losses[part], significant[part], colors)
        axes.set_yticks(range(len(labels[part])), labels[part])
        axes.set_xticks(range(len(columns)), columns)
        axes.set_ylim(each - 0.5, -0.5)  # rows of one height in every panel
    _draw_bar(figure, colors, panels, shrink=min(1, 20 / each))
    save(figure, out)


def rows_per_panel(rows: int, *, wide: float) -> int:
    """Return the rows of each table, as many as fit on a page with all tables side by side.

    Args:
        rows: of all tables.
        wide: width of each table in inches.
    """
    for count in range(1, rows):
        each = math.ceil(rows / count)
        if 1.2 + each * ROW <= PAGE * (count * wide + BAR):
            return each
    return 1


def _draw_table(
    axes: Axes, losses: np.ndarray, significant: np.ndarray, colors: ScalarMappable
) -> None:
    shown = np.sign(losses) * np.sqrt(np.abs(losses) / FULL).clip(max=1)  # small ones show too
    known = np.where(significant, shown, np.nan)
    axes.imshow(known, cmap=COLORS, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    axes.tick_params(length=0, labelsize=SMALL, labelcolor=INK)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    for row, column in np.ndindex(losses.shape):
        loss = float(losses[row, column])
        colored = significant[row, column] and not np.isnan(loss)
        red, green, blue = map(float, colors.to_rgba(shown[row, column])[:3])
        color = readable_on((red, green, blue)) if colored else FAINT
        text = "–" if np.isnan(loss) else f"{loss:.1f}".replace("-0.0", "0.0")
        axes.text(column, row, text, ha="center", va="center_baseline", size=SMALL, color=color)


def _draw_bar(figure: Figure, colors: ScalarMappable, panels: np.ndarray, *, shrink: float) -> None:
    bar = figure.colorbar(colors, ax=[*panels], aspect=25, pad=0.01, shrink=shrink, anchor=(0, 1))
    points = (-60, -30, -10, -2, 0, 2, 10, 30, 60)
    places = [math.copysign(math.sqrt(abs(value) / FULL), value) for value in points]
    names = [f"≤{points[0]}", *(str(value) for value in points[1:-1]), f"≥{points[-1]}"]
    bar.set_ticks(places, labels=names)
    bar.ax.tick_params(labelsize=SMALL, color=RULE, labelcolor=INK)
    bar.set_label("IoU lost, percentage points", size=SMALL, color=GRAY)
    bar.outline.set_edgecolor(RULE)
