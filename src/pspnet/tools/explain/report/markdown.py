"""Numbers and tables as the report writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, its first column aligned left, the others right."""
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def amount(number: float) -> str:
    """Write a count with three digits: 950, 12.3 k, 4.56 M, 1.02 G, 3.1 T."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:  # which is rounded to 1
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def shape(sizes: Sequence[int]) -> str:
    """Write sides with a cross between them."""
    return "×".join(str(side) for side in sizes)


def pixels(sides: tuple[float, float]) -> str:
    """Write height and width of a receptive field, once where they are equal."""
    if math.isinf(sides[0]) or math.isinf(sides[1]):
        return "whole image"
    return f"{sides[0]:g}" if sides[0] == sides[1] else f"{sides[0]:g}×{sides[1]:g}"


def points(share: float | None, *, sign: bool = False) -> str:
    """Write a share in percent, or percentage points with their sign; a dash for none."""
    if share is None or math.isnan(share):
        return "–"
    return f"{100 * share:+.2f}" if sign else f"{100 * share:.2f}"


def left_out(title: str, reason: str) -> str:
    """Write a section that does not apply, with the reason."""
    return f"{title}\n\nLeft out: {reason}.\n"
