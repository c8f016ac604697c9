"""Loss and prediction at the image's size, computed from logits at 1/8 of it in chunks of rows.

Neither needs the logits of every class at every pixel at once. With 150 classes these are most of
a training's memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 2**22  # logits at once, 16 MiB in float32
ACCELERATORS_CHUNK = 2**25


@dataclass(frozen=True)
class Neighbors:
    """The two source pixels of each output pixel of a 1-D bilinear resize, and their weights."""

    low: Tensor  # (pixels,) indices
    high: Tensor  # (pixels,) indices
    weight: Tensor  # (pixels,) float64 on the CPU, weight of the higher


def neighbors(output: int, source: int, *, align_corners: bool) -> Neighbors:
    """Return indices and weights of a 1-D bilinear resize from `source` to `output` pixels."""
    pixels = torch.arange(output, dtype=torch.float64)
    if align_corners:
        place = pixels * (source - 1) / max(output - 1, 1)
    else:
        place = ((pixels + 0.5) * source / output - 0.5).clamp(0)
    low = place.floor().long().clamp(max=source - 1)
    high = (low + 1).clamp(max=source - 1)
    return Neighbors(low, high, weight=torch.where(high > low, place - low, 0.0))


@dataclass(frozen=True)
class _Resize:
    """A 1-D bilinear resize as a matrix, kept on the device: a step copies nothing from the host.

    A product with its transpose is the gradient, in a fixed order of additions on every device.
    """

    low: list[int]  # source pixel per output pixel
    high: list[int]
    matrix: Tensor  # (output, source)


@lru_cache(maxsize=16)
def _resize(
    output: int, source: int, align_corners: bool, dtype: torch.dtype, device: torch.device
) -> _Resize:
    with torch.inference_mode(False), torch.device("cpu"):  # a training may use it next
        near = neighbors(output, source, align_corners=align_corners)
        matrix = torch.zeros(output, source, dtype=dtype)
        for places, weight in ((near.low, 1 - near.weight), (near.high, near.weight)):
            matrix.scatter_add_(1, places[:, None], weight[:, None].to(dtype))
        return _Resize(near.low.tolist(), near.high.tolist(), matrix.to(device))


class ChunkedUpsampling:
    """The logits of some images at another size, in chunks of rows.

    Args:
        logits: (N, C, h, w); read as float32, or float64 where they are.
        size: height and width to upsample to, bilinearly.
        align_corners: see `torch.nn.functional.interpolate`.
        window: rows and columns of that size to compute; None is all.
        gradient: collect the gradient that `add` is given.
    """

    def __init__(
        self,
        logits: Tensor,
        size: tuple[int, int],
        *,
        align_corners: bool,
        window: tuple[slice, slice] | None = None,
        gradient: bool = False,
    ) -> None:
        source = at_least_float32(logits.detach())
        self.shape, self.device = logits.shape, logits.device
        kind = (align_corners, source.dtype, source.device)
        self.rows, columns = window or (slice(0, size[0]), slice(0, size[1]))
        self.vertical = _resize(size[0], self.shape[2], *kind)
        self.across = _resize(size[1], self.shape[3], *kind).matrix[columns]  # (W, w)
        with full_precision(self.device):
            self.wide = source.flatten(0, 1) @ self.across.T  # (N·C, h, W)
        self.total = torch.zeros_like(self.wide) if gradient else None

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield rows of the window with their logits, (N, C, rows, W), to be written over."""
        maps, _, width = self.wide.shape
        count = self.rows.stop - self.rows.start
        step = max(1, chunk_of(self.device) // (maps * width))
        for first in range(0, count, step):
            rows = slice(first, min(first + step, count))
            sources, weights = self._part(rows)
            with full_precision(self.device):
                chunk = weights.expand(maps, -1, -1) @ self.wide[:, sources]
            yield rows, chunk.view(*self.shape[:2], *chunk.shape[1:])

    def add(self, rows: slice, gradient: Tensor) -> None:
        """Add the gradient with respect to a chunk, (N, C, rows, W)."""
        assert self.total is not None
        sources, weights = self._part(rows)
        with full_precision(self.device):
            self.total[:, sources].baddbmm_(
                weights.T.expand(len(self.total), -1, -1), gradient.flatten(0, 1)
            )

    def gradient(self) -> Tensor:
        """Return the gradient with respect to the logits, (N, C, h, w)."""
        assert self.total is not None
        with full_precision(self.device):
            return (self.total @ self.across).view(self.shape)

    def _part(self, rows: slice) -> tuple[slice, Tensor]:
        """Return the source rows of some rows of the window, and their weights, (rows, sources)."""
        start, stop = self.rows.start + rows.start, self.rows.start + rows.stop
        sources = slice(self.vertical.low[start], self.vertical.high[stop - 1] + 1)
        return sources, self.vertical.matrix[start:stop, sources]


def chunk_of(device: torch.device) -> int:
    """Return the number of logits to upsample at once: kernels of an accelerator are launched."""
    return CHUNK if device.type == "cpu" else ACCELERATORS_CHUNK


def _together(width: int, logits: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield parts of a batch whose logits, upsampled to `width` columns, fit into a chunk."""
    _, classes, height, _ = logits.shape
    images = max(1, chunk_of(logits.device) // (classes * height * width))
    parts = (torch.split(tensor, images) for tensor in (logits, *others))
    yield from zip(*parts, strict=True)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Multiply float32 matrices without TF32, and without autocast to bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        known = torch.amp.is_autocast_available(device.type)
        with torch.autocast(device.type, enabled=False) if known else nullcontext():
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def argmax(
    logits: Tensor,
    size: tuple[int, int],
    *,
    align_corners: bool,
    window: tuple[slice, slice] | None = None,
) -> Tensor:
    """Return the class with the highest upsampled logit per pixel, (N, H, W) uint8.

    Args:
        logits: (N, C, h, w) of at most 256 classes C.
        size: height and width to upsample to, bilinearly.
        align_corners: see `torch.nn.functional.interpolate`.
        window: rows and columns of that size to compute; None is all.
    """
    images = []
    for (some,) in _together(size[1], logits):
        upsampled = ChunkedUpsampling(some, size, align_corners=align_corners, window=window)
        chunks = [chunk.argmax(1).to(torch.uint8) for _, chunk in upsampled.chunks()]
        images.append(torch.cat(chunks, 1))
    return torch.cat(images)


def confidence(
    logits: Tensor,
    size: tuple[int, int],
    *,
    temperature: float,
    align_corners: bool,
    window: tuple[slice, slice] | None = None,
) -> Tensor:
    """Return the highest probability per pixel, (N, H, W) float32, or float64 as the logits.

    Args:
        logits: (N, C, h, w).
        size, align_corners, window: as in `argmax`.
        temperature: by which the logits are divided before the softmax.
    """
    images = []
    for (some,) in _together(size[1], logits):
        upsampled = ChunkedUpsampling(some, size, align_corners=align_corners, window=window)
        chunks = [highest_probability_(chunk, temperature) for _, chunk in upsampled.chunks()]
        images.append(torch.cat(chunks, 1))
    return torch.cat(images)


def highest_probability_(logits: Tensor, temperature: float) -> Tensor:
    """Return the largest softmax of logits (N, C, …) over the classes, (N, …); overwrite them."""
    logits -= logits.amax(1, keepdim=True)
    return 1 / logits.div_(temperature).exp_().sum(1)


def pixel_losses(
    logits: Tensor, target: Tensor, *, ignore_index: int, align_corners: bool
) -> Tensor:
    """Return the cross-entropy -log p of each pixel, (N, H, W), 0 where ignored, without gradient.

    Args:
        logits: (N, C, h, w), upsampled to the target's size; the loss is in float32 or float64.
        target: (N, H, W) int64 in 0 to C-1, or `ignore_index`.
        ignore_index: the target that has no loss.
        align_corners: see `torch.nn.functional.interpolate`.
    """
    losses = torch.empty(target.shape, dtype=_wide(logits), device=target.device)
    size = (target.shape[1], target.shape[2])
    for some, classes, found in _together(size[1], logits, target, losses):
        upsampled = ChunkedUpsampling(some, size, align_corners=align_corners)
        for rows, chunk in upsampled.chunks():
            found[:, rows] = F.cross_entropy(
                chunk, classes[:, rows], ignore_index=ignore_index, reduction="none"
            )
    return losses


def weighted_cross_entropy(
    logits: Tensor, target: Tensor, weights: Tensor, *, align_corners: bool
) -> Tensor:
    """Return the sum of weights·cross-entropy over the sum of weights, 0-dim; 0 if that sum is 0.

    The gradient is computed along with the loss, chunk by chunk, so that no more than one chunk is
    held for all classes at the target's size. There is no second derivative.

    Args:
        logits: (N, C, h, w), upsampled to the target's size.
        target: (N, H, W) int64; where the weight is 0, any value.
        weights: (N, H, W), 0 or more.
        align_corners: see `torch.nn.functional.interpolate`.
    """
    loss: Tensor = _WeightedCrossEntropy.apply(logits, target, weights, align_corners)
    return loss


class _WeightedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, weights: Tensor, align_corners: bool
    ) -> Tensor:
        wanted = bool(ctx.needs_input_grad[0])
        weights = weights.to(_wide(logits))
        total = weights.sum()
        shares = weights / torch.where(total > 0, total, 1)
        target = torch.where(weights > 0, target, 0)
        loss = shares.new_zeros(())
        gradients = []
        size = (target.shape[1], target.shape[2])
        for some, classes, share in _together(size[1], logits, target, shares):
            upsampled = ChunkedUpsampling(some, size, align_corners=align_corners, gradient=wanted)
            for rows, chunk in upsampled.chunks():
                loss += _cross_entropy_(chunk, classes[:, None, rows], share[:, None, rows])
                if wanted:
                    upsampled.add(rows, chunk)
            if wanted:
                gradients.append(upsampled.gradient())
        if wanted:
            ctx.save_for_backward(torch.cat(gradients))
            ctx.dtype = logits.dtype
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return (gradient * upstream).to(ctx.dtype), None, None, None


def _cross_entropy_(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of weights·cross-entropy; overwrite logits with its gradient.

    Args:
        logits: (N, C, rows, W).
        target: (N, 1, rows, W).
        weights: (N, 1, rows, W).
    """
    logits -= logits.amax(1, keepdim=True)
    right = logits.gather(1, target)
    total = logits.exp_().sum(1, keepdim=True)
    loss = (weights * (total.log() - right)).sum()
    logits *= weights / total
    logits.scatter_(1, target, logits.gather(1, target) - weights)
    return loss


def at_least_float32(logits: Tensor) -> Tensor:
    """Return the logits in float32, or as they are in float64."""
    return logits.to(_wide(logits))


def _wide(logits: Tensor) -> torch.dtype:
    return torch.float64 if logits.dtype == torch.float64 else torch.float32
