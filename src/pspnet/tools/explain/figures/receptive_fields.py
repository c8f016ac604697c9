"""Receptive fields: the gradient's distribution over the image, and growth along the network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pspnet.plotting.style import GRAY, INK, RULE, SMALL, plain, save
from pspnet.tools.explain.figures.sheet import sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

WIDTH, COLUMNS = 3.0, 3  # inches per map
DECADES = 3  # from the strongest gradient down to what is shown as nothing
COLORS = ("#1a73e8", "#d9480f", "#12805c", "#9334a8", "#b08900", "#5f6368")
DEPTH = "convolutions and pools wider than 1×1 on the longest path from the image"
HALF, MOST, THEORY = "#ffffff", "#7fdfff", "#9aff9a"


@dataclass(frozen=True)
class FieldMap:
    """A unit's gradient over the image.

    Args:
        title: the unit.
        energy: squared gradient per pixel, (H, W).
        center: row and column of the squares' middle.
        theory: first and last row, first and last column of the theoretical receptive field; None
            for the whole image.
        squares: sides in pixels of the squares with 50 % and 95 % of the energy.
    """

    title: str
    energy: np.ndarray
    center: tuple[int, int]
    theory: tuple[float, float, float, float] | None
    squares: tuple[int, int]


def draw_fields(maps: Sequence[FieldMap], out: Path, *, title: str, about: str) -> None:
    """Draw gradients on a logarithmic scale, with both squares and the theoretical field.

    Args:
        maps: of images of one size.
        out: the figure, .png, .pdf or .svg.
        title: text above the maps.
        about: network, file and number of images.
    """
    from matplotlib.lines import Line2D

    height, width = maps[0].energy.shape
    rows, columns = math.ceil(len(maps) / COLUMNS), min(len(maps), COLUMNS)
    size = (columns * WIDTH + 1.1, rows * (WIDTH * min(height / width, 1.2) + 0.65) + 0.4)
    figure = sheet(*size, title=title, about=about, compress=True)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(maps) :]:
        axes.remove()
    for axes, drawn in zip(panels, maps, strict=False):
        image = _draw_map(axes, drawn)
    bar = figure.colorbar(image, ax=[*panels[: len(maps)]], shrink=0.9, aspect=25, pad=0.01)
    bar.set_ticks(range(-DECADES, 1), labels=[f"{10.0**k:g}" for k in range(-DECADES, 1)])
    bar.ax.tick_params(labelsize=SMALL, color=RULE, labelcolor=INK)
    bar.outline.set_edgecolor(RULE)
    bar.set_label("gradient, share of the strongest", size=SMALL, color=GRAY)
    lines = (
        (HALF, "-", "50 % of the energy"),
        (MOST, "-", "95 %"),
        (THEORY, "--", "theory, if within"),
    )
    handles = [Line2D([], [], color=color, ls=dash, label=label) for color, dash, label in lines]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=3,
        fontsize=SMALL,
        labelcolor="white",
        facecolor="#3c4043",
    )
    save(figure, out)


def draw_growth(
    lines: Mapping[str, Sequence[float]],
    out: Path,
    *,
    sides: tuple[int, int],
    title: str,
    about: str,
) -> None:
    """Draw the theoretical receptive field after each layer wider than 1×1.

    Args:
        lines: heights of the field in pixels in the order of the layers, by layout; a line ends
            where the field is the whole image.
        out: the figure, .png, .pdf or .svg.
        sides: height and width of the image.
        title: text above the axes.
        about: network and file.
    """
    from matplotlib.ticker import MaxNLocator

    figure = sheet(6.2, 3.6, title=title, about=about)
    axes = figure.subplots()
    for number, ((name, values), color) in enumerate(zip(lines.items(), COLORS, strict=False)):
        shown = [value for value in values if math.isfinite(value)]
        mark = "o" if len(shown) <= 40 else None
        wide = 1.2 + 0.9 * (len(lines) - 1 - number)  # lines that coincide stay visible
        rest = len(shown) < len(values)
        label = f"{name} (the whole image from layer {len(shown) + 1} on)" if rest else name
        (line,) = axes.plot(range(1, len(shown) + 1), shown, label=plain(label, limit=90))
        line.set(color=color, linewidth=wide, marker=mark, markersize=wide + 1.5, clip_on=False)
    names = {sides[0]: "height", sides[1]: "width"}
    for left, (side, name) in zip((0.01, 0.3), names.items(), strict=False):
        axes.axhline(side, color=GRAY, lw=0.8, ls=(0, (4, 3)), zorder=1)
        label = f"image {name}, {side} px" if sides[0] != sides[1] else f"image sides, {side} px"
        place, offset = axes.get_yaxis_transform(), "offset points"
        text = axes.annotate(label, (left, side), (0, 2), xycoords=place, textcoords=offset)
        text.set(size=SMALL, color=GRAY, va="bottom", zorder=1.5)  # above the grid, below curves
        text.set_bbox({"fc": "white", "ec": "none", "pad": 0.5})
    axes.set_xlabel(DEPTH, size=SMALL, color=GRAY)
    axes.set_ylabel("height of the receptive field, pixels", size=SMALL, color=GRAY)
    axes.set_ylim(bottom=0)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.tick_params(labelsize=SMALL, color=RULE, labelcolor=INK)
    axes.grid(color=RULE, lw=0.6)
    axes.spines[:].set_color(RULE)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        loc="outside lower center", ncols=2, fontsize=SMALL, labelcolor=INK, frameon=False
    )
    save(figure, out)


def _draw_map(axes: Axes, drawn: FieldMap) -> AxesImage:
    size = np.sqrt(drawn.energy / drawn.energy.max())
    with np.errstate(divide="ignore"):
        shown = np.log10(size).clip(min=-DECADES)
    image = axes.imshow(shown, cmap="inferno", vmin=-DECADES, vmax=0, interpolation="nearest")
    row, column = drawn.center
    for side, color in zip(drawn.squares, (HALF, MOST), strict=True):
        _box(axes, row - side / 2, row + side / 2, column - side / 2, column + side / 2, color)
    if drawn.theory is not None:
        top, bottom, left, right = drawn.theory
        _box(axes, top - 0.5, bottom + 0.5, left - 0.5, right + 0.5, THEORY, dashed=True)
    height, width = drawn.energy.shape
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.tick_params(labelsize=SMALL - 1, color=RULE, labelcolor=GRAY, length=2)
    axes.locator_params(nbins=5, integer=True)
    axes.spines[:].set_color(RULE)
    title = f"{plain(drawn.title, limit=44)}\n{_sides(drawn)}"
    axes.set_title(title, loc="left", size=SMALL, color=INK, pad=3)
    axes.set_xlabel("column, pixels", size=SMALL, color=GRAY, labelpad=2)
    axes.set_ylabel("row, pixels", size=SMALL, color=GRAY, labelpad=2)
    return image


def _sides(drawn: FieldMap) -> str:
    """Return the sides of a map's boxes in words."""
    half, most = drawn.squares
    theory = "all of the image"
    if drawn.theory is not None:
        top, bottom, left, right = drawn.theory
        rows, columns = bottom - top + 1, right - left + 1
        theory = f"{rows:g} px" if rows == columns else f"{rows:g}×{columns:g} px"
    return f"50 %: {half} px, 95 %: {most} px, theory: {theory}"


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
