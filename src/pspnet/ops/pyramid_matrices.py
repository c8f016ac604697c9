"""Pooling to grids of cells and bilinear interpolation back, as matrices along one axis."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = 3  # along an axis of the decoder's kernel

P = ParamSpec("P")
Made = TypeVar("Made")


def _outliving(build: Callable[P, Made]) -> Callable[P, Made]:
    """Made as ordinary tensors even in inference mode, since a training may use them next."""

    @wraps(build)
    def made(*args: P.args, **kwargs: P.kwargs) -> Made:
        with torch.inference_mode(False), torch.no_grad():
            return build(*args, **kwargs)

    return made


def pooling(bins: tuple[int, ...], size: int, like: Tensor) -> list[tuple[Tensor, Tensor]]:
    """A bin's cells along one axis: (b, size), and what is left to multiply each with, (b,).

    The matrix holds powers of two, which are exact in every type and whose sums stay below the
    greatest value; the rest of one over a cell's number of pixels, 1 to 2, is in float32 at least.

    Args:
        bins: sides b of the grids.
        size: of the axis.
        like: of the type and on the device that the matrices are for.
    """
    build = _pooling if torch.compiler.is_compiling() else _kept_pooling
    return build(bins, size, like.dtype, like.device)


def spreading(bins: tuple[int, ...], size: int, align_corners: bool, like: Tensor) -> list[Tensor]:
    """What each tap and cell of a bin gives to the places along one axis, (size, 3·b) a bin.

    Args:
        bins: sides b of the grids.
        size: of the axis.
        align_corners: as of `torch.nn.functional.interpolate`.
        like: of the type and on the device that the matrices are for.
    """
    build = _spreading if torch.compiler.is_compiling() else _kept_spreading
    return build(bins, size, align_corners, like.dtype, like.device)


def _pooling(
    bins: tuple[int, ...], size: int, dtype: torch.dtype, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    wide = torch.promote_types(dtype, torch.float32)
    unit = torch.eye(size, dtype=torch.float64, device=device)[None]
    made = []
    for side in bins:
        share = F.adaptive_avg_pool1d(unit, side)[0].t()  # (b, size)
        power = torch.where(share > 0, share.log2().floor().exp2(), 0.0)
        rest = share.amax(1) / power.amax(1)
        made.append((power.to(dtype), rest.to(wide)))
    return made


def _spreading(
    bins: tuple[int, ...],
    size: int,
    align_corners: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> list[Tensor]:
    made = []
    for side in bins:
        unit = torch.eye(side, dtype=torch.float64, device=device)[None]
        up = F.interpolate(unit, size=size, mode="linear", align_corners=align_corners)[0]
        ring = F.pad(up, (1, 1))  # (b, size + 2): beyond the map there is nothing
        taps = [ring[:, tap : tap + size] for tap in range(TAPS)]
        made.append(torch.cat(taps).t().contiguous().to(dtype))
    return made


# evaluation over images of all sizes must not keep the matrices of each
_kept_pooling = lru_cache(maxsize=64)(_outliving(_pooling))
_kept_spreading = lru_cache(maxsize=64)(_outliving(_spreading))
