"""Theoretical receptive fields, followed through the operations of a forward pass."""

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
class Reach:
    """What the unit at place i of one axis can see: pixels i·jump + low to i·jump + high.

    Infinite bounds stand for the whole image. Pixels may lie outside of the image: what is seen
    there is padding.
    """

    jump: float = 1.0
    low: float = 0.0
    high: float = 0.0

    @property
    def side(self) -> float:
        """Pixels from the first to the last, both included."""
        return self.high - self.low + 1

    def through(self, *, kernel: int, stride: int, before: int, dilation: int) -> Reach:
        """The reach after a convolution or a pool with `before` units of padding in front."""
        low = self.low - before * self.jump
        high = self.high + ((kernel - 1) * dilation - before) * self.jump
        return Reach(self.jump * stride, low, high)


Field = tuple[Reach, Reach]  # down and across
WHOLE: Field = (Reach(1, -math.inf, math.inf), Reach(1, -math.inf, math.inf))


class Reaches(TorchFunctionMode):
    """Within it, the receptive field of every tensor that is computed from an image is known.

    Where paths meet, as at the end of a residual block, the widest reach counts. What loses the
    extent of its input, as a mean over the image or an adaptive pool does, sees the whole image;
    so, too wide, does what is resized or cut. What normalizations share is left out, as in
    evaluation mode.

    Args:
        image: (N, 3, H, W).
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        # the tensors are kept, so that no other takes the place that an id stands for
        self._known: dict[int, tuple[Tensor, Field]] = {id(image): (image, (Reach(), Reach()))}
        self._order: dict[int, int] = {id(image): 0}
        self.count = 0  # tensors computed so far

    def of(self, tensor: Tensor) -> Field:
        """The receptive field of a tensor computed within this mode."""
        return self._known[id(tensor)][1]

    def order(self, tensor: Tensor) -> int:
        """The value of `count` when the tensor was computed."""
        return self._order.get(id(tensor), 0)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        inputs = [x for x in _tensors([*args, *kwargs.values()]) if id(x) in self._known]
        sizes = [x.shape for x in inputs]  # before an operation in place
        result = func(*args, **kwargs)
        if inputs and isinstance(result, Tensor):
            if func in _RULES:
                field = _RULES[func](self.of(inputs[0]), *args, **kwargs)
            elif all(_keeps_extent(size, result.shape) for size in sizes):
                field = _union([self.of(x) for x in inputs])
            else:
                field = WHOLE
            self.count += 1
            self._known[id(result)], self._order[id(result)] = (result, field), self.count
        return result


def _tensors(values: list[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(list(value))


def _keeps_extent(before: torch.Size, after: torch.Size) -> bool:
    """Whether height and width still stand side by side, be it elsewhere, as in (N, H, W, C)."""
    return not set(pairwise(before[1:])).isdisjoint(pairwise(after))


def _union(fields: list[Field]) -> Field:
    down, across = zip(*fields, strict=True)
    return _widest(down), _widest(across)


def _widest(reaches: tuple[Reach, ...]) -> Reach:
    low, high = min(r.low for r in reaches), max(r.high for r in reaches)
    return Reach(max(r.jump for r in reaches), low, high)


def _convolution(
    field: Field,
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Field:
    kernel = (weight.shape[2], weight.shape[3])
    if isinstance(padding, str):  # torch puts the odd one behind
        same = padding == "same"
        sides = zip(kernel, _pair(dilation), strict=True)
        padding = tuple((k - 1) * d // 2 if same else 0 for k, d in sides)
    return _through(field, kernel, stride, padding, dilation)


def _max_pool(
    field: Field,
    image: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Field:
    return _through(field, kernel_size, stride or kernel_size, padding, dilation)


def _average_pool(
    field: Field,
    image: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Field:
    return _through(field, kernel_size, stride or kernel_size, padding, 1)


def _padding(
    field: Field, image: Tensor, pad: Any, mode: str = "constant", value: float | None = None
) -> Field:
    left, top = int(pad[0]), int(pad[2]) if len(pad) > 2 else 0
    return _through(field, 1, 1, (top, left), 1)


def _through(field: Field, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Field:
    sides = zip(_pair(kernel), _pair(stride), _pair(padding), _pair(dilation), strict=True)
    down, across = (
        reach.through(kernel=k, stride=s, before=p, dilation=d)
        for reach, (k, s, p, d) in zip(field, sides, strict=True)
    )
    return down, across


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    sides = [int(side) for side in value]
    return sides[0], sides[-1]


_RULES: dict[Callable[..., Any], Callable[..., Field]] = {
    torch.conv2d: _convolution,
    F.max_pool2d: _max_pool,
    F.avg_pool2d: _average_pool,
    F.pad: _padding,
}
