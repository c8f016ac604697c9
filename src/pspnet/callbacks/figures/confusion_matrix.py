"""The confusion matrix: the share of each class's pixels that is predicted as each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pspnet.plotting.fonts import width_in_letters
from pspnet.plotting.style import (
    GRAY,
    INK,
    NORMAL,
    RULE,
    SMALL,
    class_labels,
    figure,
    heading,
    save,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

NUMBERED, NUMBER = 25, 0.2  # cells hold numbers up to so many classes, from so many inches on
NAMED = 1.05 * SMALL / 72  # inches: the smallest cell with a name beside it
BORDERED = 0.05  # inches: the smallest cell that a white border does not wash out
TITLE = "predictions, % of each target class"


def draw_confusion_matrix(
    matrix: np.ndarray,
    names: Sequence[str],
    out: Path,
    *,
    title: str = "",
    width: float | None = None,
) -> None:
    """Draw the matrix with each row divided by its sum.

    The color grows with the square root of the share, so that rare confusions stay visible. Rows
    of classes without a target pixel are gray.

    Args:
        matrix: pixels per target class (row) and predicted class (column), (C, C).
        names: the C classes.
        out: the file, .png, .pdf or .svg.
        title: stands above the matrix.
        width: of the figure in inches; cells that become too small for names get every fifth or
            tenth index. None makes room for all names.
    """
    shares, labels = row_shares(matrix), class_labels(names, limit=24 if width is None else 14)
    many = len(names) > NUMBERED
    size, cell = (5.0, 0.085) if many else (SMALL, max(0.36, 2.4 / len(names)))
    margin = 0.62 * size / 72 * max(map(width_in_letters, labels)) + 0.5
    if width is not None:
        size, margin = SMALL, 0.62 * SMALL / 72 * max(map(width_in_letters, labels)) + 0.35
        cell = (width - margin - 0.75) / len(names)
    named = width is None or cell >= NAMED
    if not named:
        margin, cell = 0.6, (width or 0) * 0.62 / len(names)
    side = cell * len(names)
    wide = max(side + margin + 0.9, 4.6) if width is None else width
    sheet = figure(
        wide, side + margin + (0.6 if title else 0.25), dpi=220 if many else 160, compress=True
    )
    heading(sheet, title)
    axes = sheet.subplots()
    style(axes)
    image = _draw_cells(axes, shares, borders=cell >= BORDERED)
    _name_cells(axes, labels, size=size, named=named)
    if not many and (width is None or cell >= NUMBER):
        _write_numbers(axes, shares)
    shares_shown = [0, 1, 5, 10, 25, 50, 75, 100]
    bar = sheet.colorbar(image, ax=axes, ticks=shares_shown, aspect=side / 0.14, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, color=RULE, length=2)
    if width is not None:
        bar.set_label("% of the target", size=SMALL, color=GRAY)
    save(sheet, out)


def _name_cells(axes: Axes, labels: Sequence[str], *, size: float, named: bool) -> None:
    if named:
        axes.set_xticks(range(len(labels)), labels, rotation=90, size=size)
        axes.set_yticks(range(len(labels)), labels, size=size)
    else:
        places = range(0, len(labels), 5 if len(labels) < 60 else 10)
        axes.set_xticks(places, [str(place) for place in places], rotation=90, size=size)
        axes.set_yticks(places, [str(place) for place in places], size=size)
    axes.tick_params(length=1.5, pad=1.5)
    index = "" if named else " (index of the class)"
    axes.set_xlabel(f"predicted{index}", size=NORMAL, color=GRAY)
    axes.set_ylabel(f"target{index}", size=NORMAL, color=GRAY)


def row_shares(counts: np.ndarray) -> np.ndarray:
    """Return each row divided by its sum, (C, C), 0 to 1; nan in rows that sum to zero."""
    sums = counts.sum(axis=1, keepdims=True)  # (C, 1)
    shares = np.full(counts.shape, np.nan)
    np.divide(counts, sums, out=shares, where=sums > 0)
    return shares


def percent(share: float) -> str:
    """Return a share as a whole percentage, with one decimal below 1 %, empty below 0.05 %."""
    value = 100 * share
    if value < 0.05:
        return ""
    return f"{value:.1f}".lstrip("0") if value < 0.95 else f"{value:.0f}"


def _draw_cells(axes: Axes, shares: np.ndarray, *, borders: bool) -> AxesImage:
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    colors = colormaps["Blues"].with_extremes(bad="#e8eaed")
    norm = PowerNorm(0.5, vmin=0, vmax=100)
    image = axes.imshow(
        np.ma.masked_invalid(100 * shares), cmap=colors, norm=norm, interpolation="nearest"
    )
    if borders:
        edges = np.arange(1, len(shares)) - 0.5
        axes.hlines(edges, -0.5, len(shares) - 0.5, color="white", lw=0.25)
        axes.vlines(edges, -0.5, len(shares) - 0.5, color="white", lw=0.25)
    return image


def _write_numbers(axes: Axes, shares: np.ndarray) -> None:
    centered: dict[str, Any] = {"ha": "center", "va": "center"}
    for (row, column), share in np.ndenumerate(shares):
        if np.isnan(share) or not percent(share):
            continue
        color = "white" if share > 0.35 else INK  # its square root passes the middle of the map
        weight = "bold" if row == column else "normal"
        axes.text(column, row, percent(share), size=6.5, color=color, weight=weight, **centered)
    for row in np.flatnonzero(np.isnan(shares).all(axis=1)):
        axes.text(0, int(row), "absent", size=6, color=GRAY, style="italic", **centered)
