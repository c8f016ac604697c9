"""Receptive fields: maps of the gradient over the image, and their growth along the network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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

WIDTH, GAP, EDGE, TOP, FOOT = 2.6, 0.25, 0.35, 0.75, 0.45  # inches
COLUMNS = 3
DECADES = 3  # from the strongest gradient down to what is shown as nothing
LINES = ("#1a73e8", "#d9480f", "#12805c", "#9334a8", "#b08900", "#5f6368")
LEGEND = (
    "color: size of the gradient, three decades; white and blue squares: 50 and 95 % of its "
    "energy; dashed: theory"
)
HALF, MOST = "#ffffff", "#7fdfff"


@dataclass(frozen=True)
class FieldMap:
    """One map of a unit's gradient.

    Args:
        title: what it is of.
        energy: squared gradient by pixel, (H, W).
        center: row and column of the pixel below the unit.
        theory: first and last row, first and last column that the unit can see; None for all.
        squares: sides in pixels of the squares with 50 % and 95 % of the energy.
    """

    title: str
    energy: np.ndarray
    center: tuple[int, int]
    theory: tuple[float, float, float, float] | None
    squares: tuple[int, int]


def field_maps(maps: Sequence[FieldMap], out: Path, *, title: str) -> None:
    """Draws the gradient's size on a logarithmic scale, the theoretical field, and two squares.

    Args:
        maps: of images of one size.
        out: the picture, .png, .pdf or .svg.
        title: stands above.
    """
    height, width = maps[0].energy.shape
    high = WIDTH * min(height / width, 1.2)
    rows = math.ceil(len(maps) / COLUMNS)
    across = EDGE + min(len(maps), COLUMNS) * (WIDTH + GAP)
    least = 2 * EDGE + max(text_width(LEGEND, size=SMALL), 1.2 * text_width(title, size=LARGE))
    figure = sheet(max(across, least), height=TOP + rows * (high + FOOT) + 0.05)
    write(figure, title, left=EDGE, top=0.1, size=LARGE)
    legend = (
        "color: size of the gradient over three decades; white and blue squares: 50 and 95 % of"
    )
    write(figure, f"{legend} its energy; dashed: theory", left=EDGE, top=0.32, size=SMALL)
    for number, drawn in enumerate(maps):
        row, column = divmod(number, COLUMNS)
        axes = panel(
            figure,
            left=EDGE + column * (WIDTH + GAP),
            top=TOP + row * (high + FOOT),
            width=WIDTH,
            height=high,
        )
        _map(axes, drawn)
    save(figure, out)


def field_growth(
    lines: Mapping[str, Sequence[float]], out: Path, *, sides: tuple[int, int], title: str
) -> None:
    """Draws the theoretical receptive field after each convolution wider than 1×1.

    Args:
        lines: heights of the field in pixels in the order of the layers, by layout.
        out: the picture, .png, .pdf or .svg.
        sides: height and width of the image.
        title: stands above.
    """
    from matplotlib.ticker import MaxNLocator

    figure = sheet(6.2, height=3.4)
    axes = panel(figure, left=0.6, top=0.45, width=5.4, height=2.45)
    for number, ((name, values), color) in enumerate(zip(lines.items(), LINES, strict=False)):
        shown = [value for value in values if math.isfinite(value)]
        places = range(1, len(shown) + 1)
        mark = "o" if len(shown) <= 40 else None
        wide = 1.2 + 0.9 * (len(lines) - 1 - number)  # what coincides stays visible
        label = plain(name, limit=60)
        axes.plot(places, shown, label=label, color=color, lw=wide, marker=mark, ms=wide + 1.5)
    for side, name in zip(sides, ("height", "width"), strict=True):
        axes.axhline(side, color=GRAY, lw=0.8, ls=(0, (4, 3)), zorder=1)
        axes.annotate(
            f"the image's {name}, {side}" if sides[0] != sides[1] else f"the image's sides, {side}",
            (0.01, side),
            xycoords=axes.get_yaxis_transform(),
            xytext=(0, 2),
            textcoords="offset points",
            size=SMALL,
            color=GRAY,
        )
        if sides[0] == sides[1]:
            break
    axes.set_title(title, loc="left", size=LARGE, color=INK, weight="bold")
    axes.set_xlabel("convolution wider than 1×1", size=SMALL, color=GRAY)
    axes.set_ylabel("receptive field, pixels", size=SMALL, color=GRAY)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.grid(color=RULE, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        fontsize=SMALL, labelcolor=INK, framealpha=0.85, edgecolor="none", loc="lower right"
    )
    save(figure, out)


def _map(axes: Axes, drawn: FieldMap) -> None:
    size = np.sqrt(drawn.energy / drawn.energy.max())
    with np.errstate(divide="ignore"):
        shown = np.log10(size).clip(min=-DECADES)
    axes.imshow(shown, cmap="inferno", vmin=-DECADES, vmax=0, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    row, column = drawn.center
    for side, color in zip(drawn.squares, (HALF, MOST), strict=True):
        _box(axes, row - side / 2, row + side / 2, column - side / 2, column + side / 2, color)
    if drawn.theory is not None:
        top, bottom, left, right = drawn.theory
        _box(axes, top - 0.5, bottom + 0.5, left - 0.5, right + 0.5, "#9aff9a", dashed=True)
    height, width = drawn.energy.shape
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.set_title(plain(drawn.title, limit=44), loc="left", size=SMALL + 1, color=INK, pad=3)
    half, most = drawn.squares
    axes.set_xlabel(f"50 % in {half} px, 95 % in {most} px", size=SMALL, color=GRAY, labelpad=2)


def _box(
    axes: Axes,
    top: float,
    bottom: float,
    left: float,
    right: float,
    color: str,
    *,
    dashed: bool = False,
) -> None:
    xs, ys = (left, right, right, left, left), (top, top, bottom, bottom, top)
    axes.plot(xs, ys, color=color, lw=1.0, ls=(0, (3, 2)) if dashed else "-")
