"""Theoretical receptive fields, followed through the operations of a forward pass.

Where branches meet, in a sum or a concatenation of channels, the receptive field is the union of
the branches'. So it never shrinks along the depth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


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
        """Number of pixels from the first to the last."""
        return self.last - self.first + 1

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


class ReceptiveFields(TorchFunctionMode):
    """A context within which the receptive field of every tensor computed from an image is known.

    An operation that changes height or width and has no rule here, as a mean over the image or an
    adaptive pool, sees the whole image; for a resize that is too wide. What normalizations share
    over the batch is left out, as in evaluation mode.

    Args:
        image: (N, 3, H, W).
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        # the tensors are kept, so that no other takes the place that an id stands for
        self._known: dict[int, tuple[Tensor, ReceptiveField]] = {
            id(image): (image, ReceptiveField())
        }
        self._order: dict[int, int] = {id(image): 0}
        self.count = 0  # tensors computed so far

    def of(self, tensor: Tensor) -> ReceptiveField | None:
        """Return a tensor's receptive field; None if it does not depend on the image."""
        return self._known[id(tensor)][1] if id(tensor) in self._known else None

    def order(self, tensor: Tensor) -> int:
        """Return the value of `count` when the tensor was computed."""
        return self._order.get(id(tensor), 0)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        inputs = [x for x in _tensors([*args, *kwargs.values()]) if id(x) in self._known]
        known = [(x.shape, self._known[id(x)][1]) for x in inputs]  # before changes in place
        result = func(*args, **kwargs)
        for output in _tensors([result]) if known else ():
            field = None
            if func is torch.cat:
                field = _concatenation(self.of, *args, **kwargs)
            elif func in _RULES:
                field = _RULES[func](known[0][1], *args, **kwargs)
            self.count += 1
            self._known[id(output)] = (output, field or _pointwise(known, output.shape))
            self._order[id(output)] = self.count
        return result


def union(fields: list[ReceptiveField]) -> ReceptiveField:
    """Return the smallest receptive field that holds all of these."""
    rows, columns = (
        Extent(
            max(e.stride for e in extents),
            min(e.first for e in extents),
            max(e.last for e in extents),
        )
        for extents in ([f.rows for f in fields], [f.columns for f in fields])
    )
    return ReceptiveField(rows, columns, max(f.depth for f in fields))


def _tensors(values: list[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(list(value))


def _pointwise(known: list[tuple[torch.Size, ReceptiveField]], shape: torch.Size) -> ReceptiveField:
    """Return the field of an operation without a rule: that of its inputs, or the whole image."""
    field = union([field for _, field in known])
    if all(_keeps_extent(before, shape) for before, _ in known):
        return field
    return ReceptiveField(WHOLE_IMAGE, WHOLE_IMAGE, field.depth)


def _keeps_extent(before: torch.Size, after: torch.Size) -> bool:
    """Return whether height and width still stand side by side, as they do in (N, H, W, C)."""
    return not set(pairwise(before[1:])).isdisjoint(pairwise(after))


def _convolution(
    field: ReceptiveField,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> ReceptiveField:
    kernel = (weight.shape[2], weight.shape[3])
    if isinstance(padding, str):  # torch puts the odd one behind
        same = padding == "same"
        sides = zip(kernel, _pair(dilation), strict=True)
        padding = tuple((k - 1) * d // 2 if same else 0 for k, d in sides)
    return _through(field, kernel, stride, padding, dilation)


def _max_pool(
    field: ReceptiveField,
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    **_: Any,
) -> ReceptiveField:
    return _through(field, kernel_size, stride or kernel_size, padding, dilation)


def _average_pool(
    field: ReceptiveField,
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    *_: Any,
    **__: Any,
) -> ReceptiveField:
    return _through(field, kernel_size, stride or kernel_size, padding, 1)


def _padding(
    field: ReceptiveField, input: Tensor, pad: Any, mode: str = "constant", value: Any = None
) -> ReceptiveField:
    left, top = int(pad[0]), int(pad[2]) if len(pad) > 2 else 0
    return _through(field, 1, 1, (top, left), 1)


def _slice(field: ReceptiveField, input: Tensor, index: Any) -> ReceptiveField | None:
    """Return the field of slices of a tensor (N, C, H, W); None for other indices."""
    index = index if isinstance(index, tuple) else (index,)
    if Ellipsis in index:
        place = index.index(Ellipsis)
        filled = (slice(None),) * (input.ndim + 1 - len(index))
        index = (*index[:place], *filled, *index[place + 1 :])
    if input.ndim != 4 or not all(isinstance(part, slice) for part in index):
        return None
    index = (*index, *[slice(None)] * (4 - len(index)))
    bounds = [part.indices(side) for part, side in zip(index, input.shape, strict=True)][2:]
    starts, steps = ([bound[which] for bound in bounds] for which in (0, 2))
    return _through(field, 1, steps, [-start for start in starts], 1)


def _concatenation(
    of: Callable[[Tensor], ReceptiveField | None], tensors: Any, dim: int = 0, **_: Any
) -> ReceptiveField | None:
    """Return the union over channels; along height or width, the field of the largest tensor.

    What is smaller there is a border, as a copy of the last row.
    """
    axis = dim % tensors[0].ndim
    fields = [of(tensor) for tensor in tensors]
    if tensors[0].ndim != 4:
        return None
    if axis < 2:
        return union([field for field in fields if field is not None])
    sides = [tensor.shape[axis] for tensor in tensors]
    largest = sides.index(max(sides))
    field, before = fields[largest], sum(sides[:largest])
    if field is None or 2 * sides[largest] < sum(sides):
        return None
    return _through(field, 1, 1, (before, 0) if axis == 2 else (0, before), 1)


def _through(
    field: ReceptiveField, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> ReceptiveField:
    sides = zip(_pair(kernel), _pair(stride), _pair(padding), _pair(dilation), strict=True)
    rows, columns = (
        extent.through(kernel=k, stride=s, before=p, dilation=d)
        for extent, (k, s, p, d) in zip((field.rows, field.columns), sides, strict=True)
    )
    return ReceptiveField(rows, columns, field.depth + (max(_pair(kernel)) > 1))


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    sides = [int(side) for side in value]
    return sides[0], sides[-1]


_RULES: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.conv2d: _convolution,
    F.max_pool2d: _max_pool,
    F.avg_pool2d: _average_pool,
    F.pad: _padding,
    Tensor.__getitem__: _slice,
}
