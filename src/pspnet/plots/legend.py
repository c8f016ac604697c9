"""A legend of coloured boxes in even columns below a picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from pspnet.plots.canvas import GREY, INK, RULE, SMALL, text_width

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE = 0.2  # inches from one line to the next
BOX = (0.2, 0.11)  # inches


class Entry(NamedTuple):
    """What a colour (RGB, 0 to 255) stands for; striped boxes are for what has no colour."""

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
        edgecolor=GREY if entry.striped else RULE,
        hatch="//////" if entry.striped else None,
        lw=0.4,
    )
    figure.add_artist(box)
    beside = (left + BOX[0] + 0.06) / across
    figure.text(beside, 1 - middle / down, entry.name, size=SMALL, color=INK, va="center")
