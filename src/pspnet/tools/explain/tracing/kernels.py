"""Receptive fields after a kernel, a border, a slice or a concatenation.

The units of the output lie at a constant distance from each other in the input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pspnet.tools.explain.receptive_field import ReceptiveField, union


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
        sides = zip(kernel, pair(dilation), strict=True)
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


def concatenation(
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
        shape = tensors[0].shape
        return union([field for field in fields if field is not None], (shape[2], shape[3]))
    sides = [tensor.shape[axis] for tensor in tensors]
    largest = sides.index(max(sides))
    field, before = fields[largest], sum(sides[:largest])
    if field is None or 2 * sides[largest] < sum(sides):
        return None
    return _through(field, 1, 1, (before, 0) if axis == 2 else (0, before), 1)


def _through(
    field: ReceptiveField, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> ReceptiveField:
    sides = zip(pair(kernel), pair(stride), pair(padding), pair(dilation), strict=True)
    rows, columns = (
        extent.through(kernel=k, stride=s, before=p, dilation=d)
        for extent, (k, s, p, d) in zip((field.rows, field.columns), sides, strict=True)
    )
    return ReceptiveField(rows, columns, field.depth + (max(pair(kernel)) > 1))


def pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    sides = [int(side) for side in value]
    return sides[0], sides[-1]


KERNELS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.conv2d: _convolution,
    F.max_pool2d: _max_pool,
    F.avg_pool2d: _average_pool,
    F.pad: _padding,
    Tensor.__getitem__: _slice,
}
