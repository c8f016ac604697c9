"""Theoretical receptive fields: the pixels that a unit can depend on, and the union of several.

Where branches meet, in a sum or a concatenation of channels, the receptive field is the union of
the branches'. So it never shrinks along the depth, whichever branch ran last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Extent:
    """Pixels of one axis that unit i depends on: i·stride + first to i·stride + last.

    Infinite bounds stand for the whole image. Pixels outside of the image are padding.
    """

    stride: float = 1.0
    first: float = 0.0
    last: float = 0.0

    @property
    def size(self) -> float:
        """Number of pixels from the first to the last, whole or infinite."""
        size = self.last - self.first + 1
        return float(math.ceil(size - 1e-6)) if math.isfinite(size) else size

    def through(self, *, kernel: int, stride: int, before: int, dilation: int) -> Extent:
        """Return the extent after a kernel, with `before` units of padding in front."""
        first = self.first - before * self.stride
        last = self.last + ((kernel - 1) * dilation - before) * self.stride
        return Extent(self.stride * stride, first, last)


@dataclass(frozen=True)
class ReceptiveField:
    """Rows and columns of the image that a unit depends on.

    Args:
        rows: extent along the height.
        columns: extent along the width.
        depth: number of convolutions and pools wider than 1×1 on the longest path from the image.
    """

    rows: Extent = Extent()
    columns: Extent = Extent()
    depth: int = 0

    @property
    def size(self) -> tuple[float, float]:
        """Height and width in pixels; infinite for the whole image."""
        return self.rows.size, self.columns.size


WHOLE_IMAGE = Extent(1, -math.inf, math.inf)


def union(fields: Sequence[ReceptiveField], units: tuple[int, int] | None = None) -> ReceptiveField:
    """Return the smallest receptive field that holds all of these, at every unit.

    Args:
        fields: of maps with the same units.
        units: rows and columns of the maps, which matter where strides differ, as those of a
            resized map and of one that kept its size; None makes it the whole image there.
    """
    rows, columns = (
        _hull(extents, count)
        for extents, count in (
            ([f.rows for f in fields], units and units[0]),
            ([f.columns for f in fields], units and units[1]),
        )
    )
    return ReceptiveField(rows, columns, max(f.depth for f in fields))


def _hull(extents: list[Extent], units: int | None) -> Extent:
    finite = [e for e in extents if math.isfinite(e.size)]
    stride = max((e.stride for e in finite), default=1.0)
    shifts = [e.stride - stride for e in finite]
    if len(finite) < len(extents) or (units is None and any(shifts)):
        return Extent(stride, -math.inf, math.inf)
    last_unit = (units or 1) - 1  # bounds that drift apart do so most at an end of the map
    return Extent(
        stride,
        min(e.first + min(0, last_unit * x) for e, x in zip(extents, shifts, strict=True)),
        max(e.last + max(0, last_unit * x) for e, x in zip(extents, shifts, strict=True)),
    )
