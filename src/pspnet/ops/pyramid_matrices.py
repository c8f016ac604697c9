"""Pooling to grids of cells and bilinear interpolation back, as matrices along one axis."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

KERNEL = 3  # side of the decoder's kernel

P = ParamSpec("P")
Built = TypeVar("Built")


def _outside_inference_mode(build: Callable[P, Built]) -> Callable[P, Built]:
    """Build ordinary tensors even in inference mode, since a training may use them next."""

    @wraps(build)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Built:
        with torch.inference_mode(False), torch.no_grad():
            return build(*args, **kwargs)

    return wrapped


def pooling(bins: tuple[int, ...], size: int, like: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return per bin the weights of an axis's pixels in its cells, in two factors.

    The matrix (b, size) holds powers of two, which are exact in every type and whose sums stay
    below the greatest value. The rest of one over a cell's number of pixels, (b,), 1 to 2, is in
    float32 at least.

    Args:
        bins: sides b of the grids.
        size: pixels along the axis.
        like: a tensor of the type and on the device of the result.
    """
    build = _pooling if torch.compiler.is_compiling() else _cached_pooling
    return build(bins, size, like.dtype, like.device)


def upsampling(bins: tuple[int, ...], size: int, align_corners: bool, like: Tensor) -> list[Tensor]:
    """Return per bin the weights of shifted cells in an axis's pixels, (size, 3·b).

    Args:
        bins: sides b of the grids.
        size: pixels along the axis.
        align_corners: see `torch.nn.functional.interpolate`.
        like: a tensor of the type and on the device of the result.
    """
    build = _upsampling if torch.compiler.is_compiling() else _cached_upsampling
    return build(bins, size, align_corners, like.dtype, like.device)


def _identity(size: int, device: torch.device) -> Tensor:
    """Return the identity (1, size, size) in float64; on the CPU for devices that lack it."""
    place = torch.device("cpu") if device.type == "mps" else device
    return torch.eye(size, dtype=torch.float64, device=place)[None]


def _pooling(
    bins: tuple[int, ...], size: int, dtype: torch.dtype, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    wide = torch.promote_types(dtype, torch.float32)
    unit = _identity(size, device)
    factors = []
    for side in bins:
        share = F.adaptive_avg_pool1d(unit, side)[0].t()  # (b, size)
        power = torch.where(share > 0, share.log2().floor().exp2(), 0.0)
        rest = share.amax(1) / power.amax(1)
        factors.append((power.to(dtype).to(device), rest.to(wide).to(device)))
    return factors


def _upsampling(
    bins: tuple[int, ...],
    size: int,
    align_corners: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> list[Tensor]:
    weights = []
    for side in bins:
        unit = _identity(side, device)
        up = F.interpolate(unit, size=size, mode="linear", align_corners=align_corners)[0]
        ring = F.pad(up, (1, 1))  # (b, size + 2): beyond the map there is nothing
        shifted = [ring[:, offset : offset + size] for offset in range(KERNEL)]
        weights.append(torch.cat(shifted).t().contiguous().to(dtype).to(device))
    return weights


# evaluation over images of all sizes must not keep the matrices of each
_cached_pooling = lru_cache(maxsize=64)(_outside_inference_mode(_pooling))
_cached_upsampling = lru_cache(maxsize=64)(_outside_inference_mode(_upsampling))
