"""Style, legend and saving of every figure; matplotlib's constrained layout places the parts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pspnet.errors import UserError, atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#202124"
GRAY = "#80868b"
RULE = "#dadce0"
SMALL, NORMAL, LARGE = 7.0, 8.0, 10.0  # text sizes in points
FORMATS = (".png", ".pdf", ".svg")


def figure(width: float, height: float, *, dpi: int = 160, compress: bool = False) -> Figure:
    """Return an empty white figure of `width` x `height` inches, unknown to pyplot.

    Args:
        compress: move axes of a fixed aspect together, such as an image and its color bar.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.07, compress=compress)
    empty = Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout=layout)
    FigureCanvasAgg(empty)
    return empty


def style(axes: Axes) -> None:
    """Give axes the style of every figure: small labels, pale frame and ticks."""
    axes.tick_params(labelsize=SMALL, color=RULE, labelcolor=INK, length=2.5)
    axes.spines[:].set_color(RULE)


def heading(figure: Figure, text: str) -> None:
    """Write a bold title over the figure, wrapped to its width."""
    figure.suptitle(plain(text), x=0.01, ha="left", size=LARGE, color=INK, weight="bold", wrap=True)


def plain(text: str, *, limit: int = 120) -> str:
    """Return the text cut to `limit` characters, with dollar signs that stay dollar signs."""
    text = " ".join(text.split())
    short = text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
    return short.replace("$", r"\$")


class Entry(NamedTuple):
    """A color (RGB, 0 to 255) in a legend and its meaning; hatched boxes have no color."""

    name: str
    color: tuple[int, int, int]
    striped: bool = False


def legend(figure: Figure, entries: list[Entry], **place: float) -> None:
    """Draw a legend below everything, in as many columns as fit."""
    if place:
        _legend_at(figure, entries, **place)
        return
    from matplotlib.patches import Patch

    handles = [
        Patch(
            facecolor="#" + bytes(entry.color).hex(),
            edgecolor=GRAY if entry.striped else RULE,
            hatch="//////" if entry.striped else None,
            lw=0.4,
            label=entry.name,
        )
        for entry in entries
    ]
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=legend_columns(entries, width=figure.get_figwidth()),
        fontsize=SMALL,
        labelcolor=INK,
        frameon=False,
    )


def legend_columns(entries: list[Entry], *, width: float) -> int:
    """Return the number of columns of a legend that is at most `width` inches wide."""
    longest = max(len(entry.name) for entry in entries)
    column = (0.62 * longest + 5) * SMALL / 72  # a letter is 0.6 of the text size; box and gaps
    return min(max(int(width / column), 1), len(entries))


def legend_rows(entries: list[Entry], *, width: float) -> int:
    """Return the number of rows of such a legend."""
    return math.ceil(len(entries) / legend_columns(entries, width=width))


def save(figure: Figure, out: Path) -> None:
    """Write the figure whole or not at all, over an older file; make the folder.

    Raises:
        UserError: if the suffix is none of .png, .pdf and .svg.
    """
    out = Path(out)
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"{out}: a figure is written as one of {', '.join(FORMATS)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic(out) as draft:
        figure.savefig(draft, format=out.suffix[1:].lower())


# Everything below is removed once no figure places its parts in inches any more.

LINE = 0.2  # inches from one line of the legend to the next
BOX = (0.2, 0.11)  # inches


def sheet(width: float, *, height: float, dpi: int = 160) -> Figure:
    """An empty white figure of width × height inches, unknown to matplotlib's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def panel(figure: Figure, *, left: float, top: float, width: float, height: float) -> Axes:
    """Axes of width × height inches, (left, top) inches from the sheet's upper left corner."""
    across, down = figure.get_size_inches()
    axes = figure.add_axes(
        (left / across, 1 - (top + height) / down, width / across, height / down)
    )
    axes.tick_params(labelsize=SMALL, color=RULE, labelcolor=INK, length=2.5)
    for spine in axes.spines.values():
        spine.set_color(RULE)
    return axes


def write(figure: Figure, text: str, *, left: float, top: float, size: float = NORMAL) -> None:
    """One line of text, its upper left corner at (left, top) inches; the large size is bold."""
    across, down = figure.get_size_inches()
    figure.text(
        left / across,
        1 - top / down,
        plain(text),
        size=size,
        color=INK if size == LARGE else GRAY,
        weight="bold" if size == LARGE else "normal",
        va="top",
    )


def text_width(text: str, *, size: float) -> float:
    """Width in inches of a line of text in the standard typeface."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    points, _, _ = text_to_path.get_text_width_height_descent(
        text, FontProperties(size=size), ismath=False
    )
    return float(points / 72)


def legend_shape(entries: list[Entry], *, width: float) -> tuple[int, int]:
    """Columns and lines of a legend that fits into `width` inches."""
    widest = max(text_width(entry.name, size=SMALL) for entry in entries) + 0.42
    columns = min(max(int(width / widest), 1), len(entries))
    return columns, math.ceil(len(entries) / columns)


def _legend_at(
    figure: Figure, entries: list[Entry], *, left: float, top: float, width: float
) -> None:
    """Draws the entries line by line, the upper left corner at (left, top) inches."""
    columns, _ = legend_shape(entries, width=width)
    step = min(width / columns, 1.9)
    for number, entry in enumerate(entries):
        line, column = divmod(number, columns)
        _entry(figure, entry, left=left + column * step, middle=top + (line + 0.5) * LINE)


def _entry(figure: Figure, entry: Entry, *, left: float, middle: float) -> None:
    from matplotlib.patches import Rectangle

    across, down = figure.get_size_inches()
    box = Rectangle(
        (left / across, 1 - (middle + BOX[1] / 2) / down),
        BOX[0] / across,
        BOX[1] / down,
        facecolor=tuple(channel / 255 for channel in entry.color),
        edgecolor=GRAY if entry.striped else RULE,
        hatch="//////" if entry.striped else None,
        lw=0.4,
    )
    figure.add_artist(box)
    beside = (left + BOX[0] + 0.06) / across
    figure.text(beside, 1 - middle / down, entry.name, size=SMALL, color=INK, va="center")
