"""The confusion matrix: where each class's pixels went."""

from __future__ import annotations

from collections.abc import Sequence
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
    from matplotlib.image import AxesImage

NUMBERED = 25  # up to so many classes the cells hold numbers


def confusion(matrix: np.ndarray, names: Sequence[str], out: Path) -> None:
    """Draws the matrix, each row divided by its sum: what the pixels of a class were taken for.

    The color grows with the square root of the share, so that rare confusions stay visible. Rows
    of classes without a true pixel are left gray.

    Args:
        matrix: pixels by true class (row) and predicted class (column), (C, C), not negative.
        names: the C classes.
        out: the picture, .png, .pdf or .svg.

    Raises:
        ValueError: if the shape does not fit the names or a count is negative or not finite.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    if counts.shape != (len(names), len(names)) or not len(names):
        raise UserError(f"confusion matrix of shape {counts.shape} for {len(names)} classes")
    if not np.isfinite(counts).all() or counts.min() < 0:
        raise UserError("confusion matrix with negative or non-finite counts; give pixel counts")
    labels = [plain(name, limit=24) for name in names]
    dense = len(names) > NUMBERED
    size = 5.0 if dense else SMALL
    cell = 0.082 if dense else max(0.36, 2.4 / len(names))
    margin = max(text_width(label, size=size) for label in labels) + 0.4
    side = cell * len(names)
    top, bar = 0.8, 1.0
    width = max(margin + side + bar, 4.6)
    figure = sheet(width, height=top + side + margin, dpi=220 if dense else 160)
    write(figure, "Confusion matrix", left=0.15, top=0.12, size=LARGE)
    caption = "% of each true class (row) predicted as each class (column)"
    write(figure, caption, left=0.15, top=0.36)
    axes = panel(figure, left=margin, top=top, width=side, height=side)
    image = _cells(axes, row_shares(counts))
    _ticks(axes, labels, size=size)
    if not dense:
        _numbers(axes, row_shares(counts))
    _scale(figure, image, left=margin + side + 0.2, top=top, height=min(side, 4.0))
    save(figure, out)


def row_shares(counts: np.ndarray) -> np.ndarray:
    """Each row divided by its sum, (C, C), 0 to 1; nan in rows that sum to zero."""
    sums = counts.sum(axis=1, keepdims=True)  # (C, 1)
    shares = np.full(counts.shape, np.nan)
    np.divide(counts, sums, out=shares, where=sums > 0)
    return shares


def _cells(axes: Axes, shares: np.ndarray) -> AxesImage:
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    colors = colormaps["Blues"].with_extremes(bad="#e8eaed")
    norm = PowerNorm(0.5, vmin=0, vmax=100)
    image = axes.imshow(
        np.ma.masked_invalid(100 * shares), cmap=colors, norm=norm, interpolation="nearest"
    )
    places = np.arange(1, len(shares)) - 0.5
    axes.hlines(places, -0.5, len(shares) - 0.5, color="white", lw=0.25)
    axes.vlines(places, -0.5, len(shares) - 0.5, color="white", lw=0.25)
    return image


def _ticks(axes: Axes, labels: list[str], *, size: float) -> None:
    axes.set_xticks(range(len(labels)), labels, rotation=90, size=size)
    axes.set_yticks(range(len(labels)), labels, size=size)
    axes.tick_params(length=1.5, pad=1.5)
    axes.set_xlabel("predicted", size=NORMAL, color=GRAY)
    axes.set_ylabel("true", size=NORMAL, color=GRAY)


def _numbers(axes: Axes, shares: np.ndarray) -> None:
    for (row, column), share in np.ndenumerate(shares):
        text = "" if np.isnan(share) else percent(share)
        if not text:
            continue
        dark = share > 0.35  # the square root of the share passes the middle of the map
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            size=6.5,
            color="white" if dark else INK,
            weight="bold" if row == column else "normal",
        )
    for row in np.flatnonzero(np.isnan(shares).all(axis=1)):
        axes.text(
            0, int(row), "absent", va="center", ha="center", size=6, color=GRAY, style="italic"
        )


def percent(share: float) -> str:
    """A share as a whole percentage; one decimal below 1 %, nothing where it rounds to 0.0."""
    value = 100 * share
    if value < 0.05:
        return ""
    return f"{value:.1f}".lstrip("0") if value < 0.95 else f"{value:.0f}"


def _scale(figure: Figure, image: AxesImage, *, left: float, top: float, height: float) -> None:
    axes = panel(figure, left=left, top=top, width=0.14, height=height)
    bar = figure.colorbar(image, cax=axes, ticks=[0, 1, 5, 10, 25, 50, 75, 100])
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, color=RULE, length=2)
    bar.ax.set_title("%", size=SMALL, color=GRAY)
