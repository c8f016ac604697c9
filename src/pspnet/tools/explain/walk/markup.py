"""The pieces of the page: frames around pictures, lists of facts, tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Literal

from torch import Tensor

from pspnet.errors import visible
from pspnet.tools.explain.receptive_field import Extent, ReceptiveField

Size = Literal["small", "middle", "large"]
PLACE = (0.5, 0.5)  # the marked one at first: shares of height and width, as page.js moves it


def text(value: object) -> str:
    """Return a text escaped, its control characters too."""
    return escape(visible(str(value)))


def span(values: Tensor) -> str:
    """Return the lowest and highest of values, once where they are equal as written."""
    low, high = (f"{value:.3g}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def section(name: str, title: str, *parts: str) -> str:
    """Return a section with a heading that links reach by `name`."""
    inside = "\n".join(part for part in parts if part)
    return (
        f'<section aria-labelledby="{name}"><h2 id="{name}">{text(title)}</h2>\n{inside}</section>'
    )


def row(*frames: str) -> str:
    """Return frames side by side, as far as they fit."""
    return f'<div class="row">{"".join(frames)}</div>'


def frame(
    picture: str,
    caption: str,
    alt: str,
    *,
    aspect: tuple[int, int],
    units: Sequence[int] = (),
    size: Size = "middle",
    boxes: str = "",
) -> str:
    """Return a picture with its caption, stretched to the shape of what it shows.

    Args:
        picture: its data address, or "var(--NAME)" of one that the page holds once.
        caption: below it.
        alt: the picture in words.
        aspect: height and width of the image that the picture covers.
        units: rows and columns of a map, whose unit at the marked place is framed.
        size: of the picture on the page.
        boxes: markup over the picture.
    """
    grid = f' data-rows="{units[0]}" data-columns="{units[1]}"' if units else ""
    mark = f'<i class="unit" style="{_unit(units)}"></i>' if units else ""
    inside = f'<img src="{picture}" alt="{text(alt)}">'
    if picture.startswith("var("):
        inside = (
            f'<div role="img" aria-label="{text(alt)}" style="background-image: {picture}"></div>'
        )
    return (
        f'<figure class="{size}"><div class="frame"{grid} style="{_shape(aspect)}">{inside}{boxes}'
        f"{mark}</div><figcaption>{text(caption)}</figcaption></figure>"
    )


def field_frame(
    caption: str, *, aspect: tuple[int, int], units: Sequence[int], field: ReceptiveField
) -> str:
    """Return the network's input with the receptive field of a map's unit at the marked place.

    The picture is the page's own, `--input`, which all such frames share.

    Args:
        caption: below it; it is what the frame shows, in words.
        aspect: height and width of the input.
        units: rows and columns of the map.
        field: of its units.
    """
    extents = [
        f"{value:g}" if math.isfinite(value) else "0"
        for extent in (field.rows, field.columns)
        for value in ((extent.stride, extent.first, extent.last) if _known(extent) else (0, 0, 0))
    ]
    box = _box(
        *(
            _share(extent, side, count, place)
            for extent, side, count, place in zip(
                (field.rows, field.columns), aspect, units, PLACE, strict=True
            )
        )
    )
    return (
        f'<figure><div class="frame" data-rows="{units[0]}" data-columns="{units[1]}"'
        f' data-extents="{" ".join(extents)}" style="{_shape(aspect)}"><div role="img"'
        f' aria-label="{text(caption)}" style="background-image: var(--input)"></div>'
        f'<i class="field" style="{box}"></i></div><figcaption>{text(caption)}</figcaption>'
        "</figure>"
    )


def window_box(rows: slice, columns: slice, size: tuple[int, int], *, shown: bool) -> str:
    """Return the outline of a window over an image of height and width `size`."""
    shares = (
        (part.start / side, part.stop / side)
        for part, side in zip((rows, columns), size, strict=True)
    )
    return f'<i class="window{" shown" if shown else ""}" style="{_box(*shares)}"></i>'


def facts(values: Mapping[str, object]) -> str:
    """Return a list of names with their values."""
    pairs = (f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in values.items())
    return f'<dl class="facts">{"".join(pairs)}</dl>'


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are markup, the first one of each row its heading."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}"><table>'
        f"<caption>{text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def chip(color: Sequence[int]) -> str:
    """Return a small square of a color, RGB of 0 to 255."""
    return f'<span class="chip" style="background: #{bytes(color).hex()}"></span>'


def bar(parts: Mapping[str, int]) -> str:
    """Return a bar divided in proportion to the parts' numbers."""
    cells = (
        f'<span style="flex: {count} 1 0">{text(name)}<b>{count}</b></span>'
        for name, count in parts.items()
    )
    return f'<div class="bar">{"".join(cells)}</div>'


def _shape(aspect: tuple[int, int]) -> str:
    return f"aspect-ratio: {aspect[1]} / {aspect[0]}"


def _unit(units: Sequence[int]) -> str:
    shares = []
    for place, count in zip(PLACE, units, strict=True):
        index = min(int(place * count), count - 1)
        shares.append((index / count, (index + 1) / count))
    return _box(*shares)


def _share(extent: Extent, side: int, count: int, place: float) -> tuple[float, float]:
    if not _known(extent):
        return 0.0, 1.0
    first = min(int(place * count), count - 1) * extent.stride
    low, high = first + extent.first, first + extent.last + 1
    return max(low, 0) / side, min(high, side) / side


def _known(extent: Extent) -> bool:
    return math.isfinite(extent.first) and math.isfinite(extent.last)


def _box(rows: tuple[float, float], columns: tuple[float, float]) -> str:
    (top, bottom), (left, right) = rows, columns
    return (
        f"top: {top:.2%}; left: {left:.2%}; height: {bottom - top:.2%}; width: {right - left:.2%}"
    )
