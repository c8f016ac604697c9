"""Receptive fields of all tensors of a forward pass, followed through its operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pspnet.tools.explain.receptive_field import WHOLE_IMAGE, ReceptiveField, union
from pspnet.tools.explain.tracing.kernels import KERNELS, concatenation
from pspnet.tools.explain.tracing.resizes import RESIZES

_MOVES = {torch.roll, Tensor.roll, torch.flip, Tensor.flip}  # of the old size, in other places


class ReceptiveFields(TorchFunctionMode):
    """A context within which the receptive field of every tensor computed from an image is known.

    An operation that changes height or width, or moves what lies there, and has no rule here, as a
    mean over the image, sees the whole image. The units of a resized map or of an adaptive pool see
    different numbers of pixels; their extent holds what any of them sees. What normalizations share
    is left out, as in evaluation mode.

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
        written = args[:1] if func is Tensor.__setitem__ else [result]
        for output in _tensors([*written]) if known else ():
            field = None
            if func is torch.cat:
                field = concatenation(self.of, *args, **kwargs)
            elif func in _MOVES or (len(known) > 1 and (func in KERNELS or func in RESIZES)):
                field = _whole(known)  # the latter with a kernel that depends on the image
            elif func in KERNELS:
                field = KERNELS[func](known[0][1], *args, **kwargs)
            elif func in RESIZES:
                field = RESIZES[func](known[0][1], output, *args, **kwargs)
            self.count += 1
            self._known[id(output)] = (output, field or _pointwise(known, output.shape))
            self._order[id(output)] = self.count
        return result


def _tensors(values: list[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(list(value))


def _pointwise(known: list[tuple[torch.Size, ReceptiveField]], shape: torch.Size) -> ReceptiveField:
    """Return the field of an operation without a rule: that of its inputs, or the whole image."""
    if all(_keeps_extent(before, shape) for before, _ in known):
        return union([field for _, field in known], _units(shape))
    return _whole(known)


def _whole(known: list[tuple[torch.Size, ReceptiveField]]) -> ReceptiveField:
    return ReceptiveField(WHOLE_IMAGE, WHOLE_IMAGE, max(field.depth for _, field in known))


def _units(shape: torch.Size) -> tuple[int, int]:
    return (shape[2], shape[3]) if len(shape) == 4 else (max(shape), max(shape))


def _keeps_extent(before: torch.Size, after: torch.Size) -> bool:
    """Return whether height and width still stand side by side, as they do in (N, H, W, C)."""
    return not set(pairwise(before[1:])).isdisjoint(pairwise(after))
