"""Losses of IoU by class and ablated part, as a table of colors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pspnet.plotting.fonts import width_in_letters
from pspnet.plotting.style import GRAY, INK, LARGE, RULE, SMALL, class_labels, plain, save

ROW, COLUMN = 0.2, 0.85  # inches
FULL = 60.0  # percentage points; beyond them the color stays
NOTE = "percentage points lost, gained where negative; gray: indistinguishable from no change"


def draw_losses(
    losses: np.ndarray,
    significant: np.ndarray,
    out: Path,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
) -> None:
    """Draw losses of IoU as a table of colors.

    Args:
        losses: in percentage points, (rows, columns), nan where there is none.
        significant: the loss differs from 0, (rows, columns); the other numbers are gray.
        out: the figure, .png, .pdf or .svg.
        rows: names of the classes.
        columns: ablated parts.
        title: text above the table.
    """
    from matplotlib.figure import Figure

    gutter = 0.075 * max(map(width_in_letters, rows)) + 0.3
    size = (max(gutter + len(columns) * COLUMN, 5.6), 0.9 + len(rows) * ROW)
    figure = Figure(size, dpi=160, layout="constrained")
    figure.suptitle(plain(title), x=0.01, ha="left", size=LARGE, color=INK, weight="bold")
    axes = figure.subplots()
    shown = np.sign(losses) * np.sqrt(np.abs(losses) / FULL).clip(max=1)  # small ones show too
    image = axes.imshow(
        shown, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", interpolation="nearest"
    )
    axes.set_yticks(range(len(rows)), class_labels(rows))
    axes.set_xticks(range(len(columns)), columns)
    axes.tick_params(
        length=0,
        top=True,
        labeltop=True,
        bottom=False,
        labelbottom=False,
        labelsize=SMALL,
        labelcolor=INK,
    )
    axes.spines[:].set_color(RULE)
    axes.set_xlabel(NOTE, size=SMALL, color=GRAY)
    for row, column in np.ndindex(losses.shape):
        loss, cell = float(losses[row, column]), image.to_rgba(shown[row, column])
        color = readable(cell[:3], gray=not significant[row, column])
        text = "–" if np.isnan(loss) else f"{loss:.1f}".replace("-0.0", "0.0")
        axes.text(column, row, text, ha="center", va="center_baseline", size=SMALL, color=color)
    save(figure, out)


def readable(background: np.ndarray, *, gray: bool) -> str:
    """Return a text color with contrast to a background (red, green, blue)."""
    linear = np.power(background, 2.2)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    if gray:
        return "#dadce0" if luminance < 0.31 else "#5f6368"
    return "white" if luminance < 0.21 else INK
