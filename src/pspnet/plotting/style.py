"""Style, legend and saving of every figure; matplotlib's constrained layout places the parts."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from pspnet.errors import UserError
from pspnet.files.writing import make_folder, write_atomic
from pspnet.plotting.fonts import families, is_drawable, width_in_letters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#202124"
GRAY = "#80868b"
RULE = "#dadce0"
WRONG = (190, 0, 110)  # pixels of errors: darker than the pale image below them, to all readers
STRIPE = (160, 160, 160)  # of ignored pixels on white: paler than errors to all readers
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
    """Write a bold title over the figure, wrapped to its width; none if it is empty."""
    if not text:
        return
    figure.suptitle(plain(text), x=0.01, ha="left", size=LARGE, color=INK, weight="bold", wrap=True)


def plain(text: str, *, limit: int = 120) -> str:
    """Return the text cut to `limit` characters, with dollar signs that stay dollar signs.

    Characters that no installed font has are question marks.
    """
    text = " ".join(text.split())
    if not is_drawable(text):
        text = "".join(one if is_drawable(one) else "?" for one in text)
    short = text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
    return short.replace("$", r"\$")


def class_labels(names: Sequence[str], *, limit: int = 28) -> list[str]:
    """Return the names of all classes for a figure, the index where no installed font has one."""
    return [
        plain(name if is_drawable(name) else str(index), limit=limit)
        for index, name in enumerate(names)
    ]


class Entry(NamedTuple):
    """A color (RGB, 0 to 255) in a legend and its meaning; without a color there is no box."""

    name: str
    color: tuple[int, int, int] | None
    striped: bool = False


def legend(
    figure: Figure,
    entries: list[Entry],
    *,
    side: Literal["left", "right"] = "left",
    width: float | None = None,
) -> None:
    """Draw a legend below everything, in as many columns as fit.

    Args:
        side: left or right.
        width: inches; None takes that of the figure.
    """
    from matplotlib.patches import Patch

    handles = []
    for entry in entries:
        edge = "none" if entry.color is None else RULE
        patch = Patch(
            facecolor="none" if entry.color is None else "#" + bytes(entry.color).hex(),
            edgecolor="#" + bytes(STRIPE).hex() if entry.striped else edge,
            hatch="//////" if entry.striped else None,
            lw=0.4,
            label=entry.name,
        )
        handles.append(patch)
    figure.legend(
        handles=handles,
        loc="outside lower left" if side == "left" else "outside lower right",
        ncols=legend_columns(entries, width=width or figure.get_figwidth()),
        fontsize=SMALL,
        labelcolor=INK,
        frameon=False,
    )


def legend_columns(entries: list[Entry], *, width: float) -> int:
    """Return the number of columns of a legend that is at most `width` inches wide."""
    longest = max(width_in_letters(entry.name) for entry in entries)
    column = (0.62 * longest + 5) * SMALL / 72  # a letter is 0.6 of the text size; box and gaps
    return min(max(int(width / column), 1), len(entries))


def legend_rows(entries: list[Entry], *, width: float) -> int:
    """Return the number of rows of such a legend."""
    return math.ceil(len(entries) / legend_columns(entries, width=width))


def stripes(height: int, width: int) -> np.ndarray:
    """Return where diagonal stripes are, some 60 along the longer side; (height, width) bool."""
    period = max(max(height, width) // 60, 4)
    drawn: np.ndarray = np.add.outer(np.arange(height), np.arange(width)) % period < period // 3
    return drawn


def save(figure: Figure, out: Path) -> None:
    """Write the figure whole or not at all, over an older file; make the folder.

    Raises:
        UserError: if the suffix is none of .png, .pdf and .svg, or the file cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    out = Path(out)
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"{out}: a figure is written as one of {', '.join(FORMATS)}")
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if others := families(text.get_text()):
            text.set(fontfamily=[*text.get_fontfamily(), *others], fontweight="normal")
    drawn = io.BytesIO()
    with rc_context({"pdf.fonttype": 42}):  # publishers refuse matplotlib's fonts of type 3
        figure.savefig(drawn, format=out.suffix[1:].lower())
    make_folder(out.parent)
    write_atomic(out, drawn.getvalue(), durable=False)
