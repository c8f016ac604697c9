"""The sheet of every figure here: a title, and what the figure was measured on."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pspnet.plotting.style import GRAY, INK, LARGE, SMALL, figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LETTER = 0.6  # of a text's size; bold letters are wider
EDGE = 0.08  # inches


def sheet(width: float, height: float, *, title: str, about: str, compress: bool = False) -> Figure:
    """Return an empty figure with a heading above `width` × `height` inches for the axes.

    Args:
        title: what is drawn, in bold.
        about: lines in gray below it: network, file, number of images, how to read the figure.
        compress: as in `pspnet.plotting.style.figure`.
    """
    texts = (
        (wrapped(title, size=1.15 * LARGE, width=width), LARGE, INK, "bold"),
        (wrapped(about, size=SMALL, width=width), SMALL, GRAY, "normal"),
    )
    heights = [1.35 * size * (text.count("\n") + 1) / 72 for text, size, _, _ in texts]
    total = height + sum(heights) + 2 * EDGE
    drawn = figure(width, total, compress=compress)
    layout = drawn.get_layout_engine()
    assert layout is not None
    layout.set(rect=(0, 0, 1, height / total))  # type: ignore[call-arg]
    top = total - EDGE
    for (text, size, color, weight), used in zip(texts, heights, strict=True):
        drawn.text(EDGE / width, top / total, text, va="top", size=size, color=color, weight=weight)
        top -= used
    return drawn


def wrapped(text: str, *, size: float, width: float) -> str:
    """Break lines that are longer than `width` inches in letters of `size` points."""
    letters = int((width - 2 * EDGE) * 72 / (LETTER * size))
    lines = (plain(line, limit=400) for line in text.splitlines())
    return "\n".join(part for line in lines for part in textwrap.wrap(line, letters) or [""])
