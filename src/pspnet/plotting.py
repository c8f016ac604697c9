"""Style, legend and saving of every figure."""

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


def plain(text: str, *, limit: int = 120) -> str:
    """The text cut to `limit` characters, its dollar signs not read as mathematics."""
    text = " ".join(text.split())
    short = text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
    return short.replace("$", r"\$")


def text_width(text: str, *, size: float) -> float:
    """Width in inches of a line of text in the standard typeface."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    points, _, _ = text_to_path.get_text_width_height_descent(
        text, FontProperties(size=size), ismath=False
    )
    return float(points / 72)


class Entry(NamedTuple):
    """What a color (RGB, 0 to 255) stands for; striped boxes are for what has no color."""

    name: str
    color: tuple[int, int, int]
    striped: bool = False


def legend_shape(entries: list[Entry], *, width: float) -> tuple[int, int]:
    """Columns and lines of a legend that fits into `width` inches."""
    widest = max(text_width(entry.name, size=SMALL) for entry in entries) + 0.42
    columns = min(max(int(width / widest), 1), len(entries))
    return columns, math.ceil(len(entries) / columns)


def legend(figure: Figure, entries: list[Entry], *, left: float, top: float, width: float) -> None:
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


def save(figure: Figure, out: Path) -> None:
    """Writes the figure whole or not at all, over what stood there; makes the folder.

    Raises:
        ValueError: if the suffix is none of .png, .pdf and .svg.
    """
    out = Path(out)
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"{out}: a picture is written as one of {', '.join(FORMATS)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic(out) as draft:
        figure.savefig(draft, format=out.suffix[1:].lower())
