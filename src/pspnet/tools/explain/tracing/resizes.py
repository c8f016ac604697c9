"""Receptive fields after an operation whose units differ in the number of units that they see.

Resizes, adaptive pools and transposed convolutions: a unit lies between others, or on one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pspnet.tools.explain.receptive_field import WHOLE_IMAGE, Extent, ReceptiveField
from pspnet.tools.explain.tracing.kernels import pair


def _interpolation(
    field: ReceptiveField,
    output: Tensor,
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> ReceptiveField | None:
    """Return the field of a resize; None for modes and scales without a rule."""
    if mode == "area":
        return _adaptive_pool(field, output, input)
    if mode not in _REACH or antialias or not _is_exact(input, output, scale_factor):
        return None
    extents = []
    for extent, before, after in _axes(field, input, output):
        step, offset = Fraction(before, after), Fraction(0)
        if align_corners:
            step = Fraction(before - 1, max(after - 1, 1))
        elif mode != "nearest":
            offset = (step - 1) / 2 if mode != "nearest-exact" else step / 2
        windows = [_window(i * step + offset, mode, before) for i in range(after)]
        extents.append(_hull(extent, step, windows))
    rows, columns = extents
    return ReceptiveField(rows, columns, field.depth)


# places before and behind the one at or before a unit, where the unit lies between two
_REACH = {"nearest": (0, 0), "nearest-exact": (0, 0), "bilinear": (0, 1), "bicubic": (-1, 2)}


def _window(place: Fraction, mode: str, count: int) -> tuple[int, int]:
    base = math.floor(place)
    before, behind = _REACH[mode] if place != base else (0, 0)
    return max(base + before, 0), max(min(base + behind, count - 1), 0)


def _is_exact(input: Tensor, output: Tensor, scale: Any) -> bool:
    """Return whether a resize's scale is that of the sizes."""
    if scale is None:
        return True
    scales = scale if isinstance(scale, list | tuple) else (scale, scale)
    sides = zip(input.shape[2:], output.shape[2:], scales, strict=True)
    return all(before * factor == after for before, after, factor in sides)


def _adaptive_pool(
    field: ReceptiveField, output: Tensor, input: Tensor, *_: Any, **__: Any
) -> ReceptiveField:
    extents = []
    for extent, before, after in _axes(field, input, output):
        bounds = [(i * before // after, -((i + 1) * before // -after) - 1) for i in range(after)]
        pooled = _hull(extent, Fraction(before, after), bounds)
        extents.append(pooled if after > 1 or before == 1 else WHOLE_IMAGE)
    rows, columns = extents
    return ReceptiveField(rows, columns, field.depth)


def _transposed_convolution(
    field: ReceptiveField,
    output: Tensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> ReceptiveField:
    extents = []
    sides = zip(weight.shape[2:], pair(stride), pair(padding), pair(dilation), strict=True)
    for (extent, before, after), (k, s, p, d) in zip(
        _axes(field, input, output), sides, strict=True
    ):
        spans = ((-((i + p - (k - 1) * d) // -s), (i + p) // s) for i in range(after))
        within = [(max(low, 0), min(high, before - 1)) for low, high in spans]
        extents.append(_hull(extent, Fraction(1, s), within))
    rows, columns = extents
    return ReceptiveField(rows, columns, field.depth + (max(weight.shape[2:]) > 1))


def _axes(
    field: ReceptiveField, input: Tensor, output: Tensor
) -> Iterator[tuple[Extent, int, int]]:
    """Yield extent, units before and units after along the height, then along the width."""
    return zip((field.rows, field.columns), input.shape[2:], output.shape[2:], strict=True)


def _hull(extent: Extent, step: Fraction, windows: list[tuple[int, int]]) -> Extent:
    """Return the extent of units that see `windows` of others, first to last, empty if reversed.

    Args:
        extent: of the others.
        step: the others between neighboring units, on average.
        windows: of each unit.
    """
    seen = [(i, low, high) for i, (low, high) in enumerate(windows) if low <= high]
    first, last = min(low - i * step for i, low, _ in seen), max(h - i * step for i, _, h in seen)
    bounds = (extent.first + extent.stride * first, extent.last + extent.stride * last)
    return Extent(float(extent.stride * step), *map(float, bounds))


RESIZES: dict[Callable[..., Any], Callable[..., Any]] = {  # the units differ in what they see
    F.interpolate: _interpolation,
    F.adaptive_avg_pool2d: _adaptive_pool,
    F.adaptive_max_pool2d: _adaptive_pool,
    torch.conv_transpose2d: _transposed_convolution,
}
