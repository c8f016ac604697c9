"""Adaptive pooling of maps whose size is a symbol, in operations that every exporter knows.

Cells are those of torch: cell i of b along an axis of n pixels holds the pixels from floor(i·n/b)
to ceil((i+1)·n/b) - 1, at least one, so that they overlap where b does not divide n.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

Size = int | None | tuple[int | None, int | None]


class SymbolicPooling(TorchFunctionMode):
    """Replace torch's adaptive pooling of maps, wherever it is called, by that of this file."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        pool = _POOLS.get(func)
        if pool is None or kwargs.get("return_indices"):
            return func(*args, **kwargs)
        return pool(*args, **{k: v for k, v in kwargs.items() if k != "return_indices"})


def adaptive_average(input: Tensor, output_size: Size) -> Tensor:
    """Average maps (…, C, H, W) per cell to `output_size`, as two matrix products in float32."""
    if output_size in (1, (1, 1)):
        return input.mean((-2, -1), keepdim=True)
    height, width = input.shape[-2:]
    rows, columns = _sides(output_size, input)
    by_row, by_column = _shares(rows, height, input), _shares(columns, width, input)
    wide = input.to(by_row.dtype)
    return (by_row @ (wide @ by_column.t())).to(input.dtype)


def adaptive_max(input: Tensor, output_size: Size) -> Tensor:
    """Return the maximum of maps (…, C, H, W) per cell of `output_size`."""
    rows, columns = _sides(output_size, input)
    by_column = _cell_max(input, columns, axis=-1)
    return _cell_max(by_column, rows, axis=-2)


def _sides(size: Size, maps: Tensor) -> tuple[int, int]:
    """Return rows and columns of cells; None keeps the map's own."""
    both = size if isinstance(size, tuple | list) else (size, size)
    rows, columns = (
        own if side is None else side for side, own in zip(both, maps.shape[-2:], strict=True)
    )
    return rows, columns


def _shares(side: int, pixels: int, like: Tensor) -> Tensor:
    """Return the share of each pixel in the average of each cell, (side, pixels).

    Comparisons of products find the pixels of a cell, exact in float32 below 2^24.
    """
    wide = torch.promote_types(like.dtype, torch.float32)
    cell = torch.arange(side, dtype=wide, device=like.device)[:, None]
    pixel = torch.arange(pixels, dtype=wide, device=like.device)
    inside = ((pixel + 1) * side > cell * pixels) & (pixel * side < (cell + 1) * pixels)
    inside = inside.to(wide)
    return inside / inside.sum(1, keepdim=True)


def _cell_max(maps: Tensor, side: int, *, axis: int) -> Tensor:
    """Gather each cell's pixels along an axis, the last one repeated up to the largest cell's."""
    pixels = maps.shape[axis]
    cell = torch.arange(side, device=maps.device)
    first = torch.div(cell * pixels, side, rounding_mode="trunc")
    last = torch.div((cell + 1) * pixels + side - 1, side, rounding_mode="trunc") - 1
    most = pixels // side + 2
    places = first[:, None] + torch.arange(most, device=maps.device)
    places = torch.minimum(places, last[:, None]).flatten()  # (side · most,)
    gathered = maps.index_select(axis, places)
    shape = (side, most) if axis == -1 else (side, most, maps.shape[-1])
    return gathered.reshape(*maps.shape[:axis], *shape).amax(axis)


_POOLS: dict[Any, Callable[..., Tensor]] = {
    F.adaptive_avg_pool2d: adaptive_average,
    F.adaptive_max_pool2d: adaptive_max,
}
