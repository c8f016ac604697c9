"""Pyramid pooling and the convolution behind it as matrix products, without the concatenation.

The decoder's 3×3 convolution over the features and the upsampled levels is a sum over these parts.
Of a level of b×b cells, upsampled bilinearly, it is linear in the cells: each of the nine taps of
the kernel is applied to the cells, and what it gives is spread by the interpolation shifted by that
tap, with zeros where the tap falls outside. Both interpolation and average pooling are a product
over the rows and one over the columns, which depend on the sizes alone. What is computed is the
same as in figure 3; the 4096 channels are never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = 3  # along an axis of the decoder's kernel

P = ParamSpec("P")
Made = TypeVar("Made")


def pool_average(features: Tensor, bins: tuple[int, ...]) -> list[Tensor]:
    """Average pooling to every bin, reading the features once.

    Args:
        features: (N, C, H, W).
        bins: sides b of the grids.

    Returns:
        (N, C, b, b) a bin, as of `torch.nn.functional.adaptive_avg_pool2d`.
    """
    n, c, height, width = features.shape
    rows, columns = (_pooling(bins, side, features) for side in (height, width))
    flat = features.permute(0, 2, 3, 1).reshape(n, height, width * c)
    strips = torch.cat([power for power, _ in rows]) @ flat  # (N, Σb, W·C)
    pooled = []
    parts = strips.view(n, -1, width, c).split_with_sizes(bins, 1)  # (N, b, W, C)
    for strip, (_, row_rest), (power, column_rest) in zip(parts, rows, columns, strict=True):
        cells = power @ strip  # (N, b, b, C)
        rest = (row_rest[:, None] * column_rest)[..., None]  # (b, b, 1)
        pooled.append((cells * rest).to(cells.dtype).permute(0, 3, 1, 2))
    return pooled


def convolve(
    features: Tensor,
    levels: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    align_corners: bool,
) -> Tensor:
    """The 3×3 convolution of the features with all levels, upsampled bilinearly, behind them.

    Args:
        features: (N, C, H, W).
        levels: maps (N, C', b, b), of any channels and sides.
        weight: of the convolution, (D, C + ΣC', 3, 3); it pads with one ring of zeros.
        bias: of the convolution, (D,).
        align_corners: how the levels are upsampled.

    Returns:
        (N, D, H, W), channels last in memory.
    """
    n, c, height, width = features.shape
    kernel, *kernels = weight.split_with_sizes([c, *(level.shape[1] for level in levels)], 1)
    own = F.conv2d(features, kernel, bias, padding=1)  # (N, D, H, W)
    out = own.shape[1]
    bins = tuple(level.shape[2] for level in levels)
    rows, columns = (_spreading(bins, side, align_corners, own) for side in (height, width))
    strips = []
    for level, taps, column in zip(levels, kernels, columns, strict=True):
        side = level.shape[2]
        # a view of a kernel in channels-last memory, so that it is not copied
        matrix = taps.permute(0, 2, 3, 1).reshape(-1, level.shape[1])  # (D·9, C')
        cells = F.linear(level.permute(0, 2, 3, 1), matrix).to(own.dtype)  # (N, b, b, D·9)
        tapped = cells.view(n, side, side, out, TAPS, TAPS).permute(0, 4, 1, 5, 2, 3)
        tapped = tapped.reshape(n, TAPS * side, TAPS * side, out)  # (N, 3·b, 3·b, D)
        strips.append((column @ tapped).view(n, TAPS * side, width * out))  # (N, 3·b, W·D)
    flat = own.permute(0, 2, 3, 1).reshape(n, height, width * out)
    spread = torch.cat(rows, 1).expand(n, -1, -1)  # (N, H, 3·Σb)
    total = torch.baddbmm(flat, spread, torch.cat(strips, 1))  # (N, H, W·D)
    return total.view(n, height, width, out).permute(0, 3, 1, 2)


def saves(
    bins: Sequence[int], *, channels: int, level: int, out: int, height: int, width: int
) -> bool:
    """Whether the products take fewer multiplications than pooling, upsampling and concatenation.

    They do but for maps of few units, as of an output stride of 32 or of bins nearly as many as
    these.

    Args:
        bins: sides of the grids.
        channels: C of the features.
        level: channels of each level.
        out: channels D that the convolution gives.
        height: of the features.
        width: of the features.
    """
    area, sides, cells = height * width, sum(bins), sum(side * side for side in bins)
    context = len(bins) * level
    published = area * (len(bins) * channels + 4 * context + TAPS**2 * context * out)
    pooling = channels * (area * sides + width * cells)
    products = TAPS**2 * level * out * cells + TAPS**2 * out * width * cells
    return pooling + products + TAPS * area * sides * out < published


def _outliving(build: Callable[P, Made]) -> Callable[P, Made]:
    """Made as ordinary tensors even in inference mode, since a training may use them next."""

    @wraps(build)
    def made(*args: P.args, **kwargs: P.kwargs) -> Made:
        with torch.inference_mode(False), torch.no_grad():
            return build(*args, **kwargs)

    return made


def _pooling(bins: tuple[int, ...], size: int, like: Tensor) -> list[tuple[Tensor, Tensor]]:
    build = _pooling_matrices if torch.compiler.is_compiling() else _kept_pooling
    return build(bins, size, like.dtype, like.device)


def _spreading(bins: tuple[int, ...], size: int, align_corners: bool, like: Tensor) -> list[Tensor]:
    build = _spreading_matrices if torch.compiler.is_compiling() else _kept_spreading
    return build(bins, size, align_corners, like.dtype, like.device)


def _pooling_matrices(
    bins: tuple[int, ...], size: int, dtype: torch.dtype, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """A bin's cells along one axis: (b, size), and what is left to multiply each with, (b,).

    The matrix holds powers of two, which are exact in every type and whose sums stay below the
    greatest value; the rest of one over a cell's number of pixels, 1 to 2, is applied in float32.
    """
    wide = torch.promote_types(dtype, torch.float32)
    unit = torch.eye(size, dtype=torch.float64, device=device)[None]
    made = []
    for side in bins:
        share = F.adaptive_avg_pool1d(unit, side)[0].t()  # (b, size)
        power = torch.where(share > 0, share.log2().floor().exp2(), 0.0)
        rest = share.amax(1) / power.amax(1)
        made.append((power.to(dtype), rest.to(wide)))
    return made


def _spreading_matrices(
    bins: tuple[int, ...],
    size: int,
    align_corners: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> list[Tensor]:
    """What each tap and cell of a bin gives to the places along one axis, (size, 3·b) a bin."""
    made = []
    for side in bins:
        unit = torch.eye(side, dtype=torch.float64, device=device)[None]
        up = F.interpolate(unit, size=size, mode="linear", align_corners=align_corners)[0]
        ring = F.pad(up, (1, 1))  # (b, size + 2): beyond the map there is nothing
        taps = [ring[:, tap : tap + size] for tap in range(TAPS)]
        made.append(torch.cat(taps).t().contiguous().to(dtype))
    return made


# evaluation over images of all sizes must not keep the matrices of each
_kept_pooling = lru_cache(maxsize=64)(_outliving(_pooling_matrices))
_kept_spreading = lru_cache(maxsize=64)(_outliving(_spreading_matrices))
