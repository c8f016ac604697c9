"""Loss and prediction at the image's size, computed from logits at 1/8 of it in chunks of rows.

Neither needs the logits of every class at every pixel at once. With 150 classes these are most of
a training's memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 2**22  # logits at once, 16 MiB in float32


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


class ChunkedUpsampling:
    """The logits of one image at another size, in chunks of rows.

    Args:
        logits: (C, h, w); read as float32, or float64 where they are.
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
        rows, columns = window or (slice(0, size[0]), slice(0, size[1]))
        self.source = at_least_float32(logits.detach()).requires_grad_(gradient)
        with torch.set_grad_enabled(gradient):
            self.wide = self.source[None]
            if logits.shape[2] != size[1]:
                self.wide = F.interpolate(
                    self.wide,
                    size=(logits.shape[1], size[1]),
                    mode="bilinear",
                    align_corners=align_corners,
                )
            self.wide = self.wide[0, :, :, columns].contiguous()  # (C, h, W)
        found = neighbors(size[0], logits.shape[1], align_corners=align_corners)
        self.low, self.high = (t[rows].to(logits.device) for t in (found.low, found.high))
        weight = found.weight[rows].to(self.wide.dtype)  # on the CPU: not every device has float64
        self.weight = weight.to(self.wide.device)[:, None]
        self.resized = logits.shape[1] != size[0]
        self.total = torch.zeros_like(self.wide) if gradient else None

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield rows of the window with their logits, (C, rows, W), which may be written over."""
        wide = self.wide.detach()
        classes, _, width = wide.shape
        step = max(1, CHUNK // (classes * width))
        for first in range(0, len(self.low), step):
            rows = slice(first, min(first + step, len(self.low)))
            chunk = wide.index_select(1, self.low[rows])
            if self.resized:
                chunk.lerp_(wide.index_select(1, self.high[rows]), self.weight[rows])
            yield rows, chunk

    def add(self, rows: slice, gradient: Tensor) -> None:
        """Add the gradient with respect to a chunk, (C, rows, W), which is written over."""
        assert self.total is not None
        if self.resized:
            self.total.index_add_(1, self.high[rows], gradient * self.weight[rows])
            gradient.mul_(1 - self.weight[rows])
        self.total.index_add_(1, self.low[rows], gradient)

    def gradient(self) -> Tensor:
        """Return the gradient with respect to the logits as they were given, (C, h, w)."""
        (found,) = torch.autograd.grad(self.wide, self.source, self.total)
        return found


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
    for image in logits:
        upsampled = ChunkedUpsampling(image, size, align_corners=align_corners, window=window)
        chunks = [chunk.argmax(0).to(torch.uint8) for _, chunk in upsampled.chunks()]
        images.append(torch.cat(chunks))
    return torch.stack(images)


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
    for image in logits:
        upsampled = ChunkedUpsampling(image, size, align_corners=align_corners, window=window)
        chunks = [highest_probability_(chunk, temperature) for _, chunk in upsampled.chunks()]
        images.append(torch.cat(chunks))
    return torch.stack(images)


def highest_probability_(logits: Tensor, temperature: float) -> Tensor:
    """Return the largest softmax of logits (C, …) over their classes, (…); overwrite them."""
    logits -= logits.amax(0)
    return 1 / logits.div_(temperature).exp_().sum(0)


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
    for image, classes, found in zip(logits, target, losses, strict=True):
        upsampled = ChunkedUpsampling(image, size, align_corners=align_corners)
        for rows, chunk in upsampled.chunks():
            found[rows] = F.cross_entropy(
                chunk[None], classes[rows][None], ignore_index=ignore_index, reduction="none"
            )[0]
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
        for image, classes, share in zip(logits, target, shares, strict=True):
            size = (classes.shape[0], classes.shape[1])
            upsampled = ChunkedUpsampling(image, size, align_corners=align_corners, gradient=wanted)
            for rows, chunk in upsampled.chunks():
                loss += _cross_entropy_(chunk, classes[rows][None], share[rows])
                if wanted:
                    upsampled.add(rows, chunk)
            if wanted:
                gradients.append(upsampled.gradient())
        if wanted:
            ctx.save_for_backward(torch.stack(gradients))
            ctx.dtype = logits.dtype
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return (gradient * upstream).to(ctx.dtype), None, None, None


def _cross_entropy_(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of weights·cross-entropy; overwrite logits (C, rows, W) with its gradient."""
    logits -= logits.amax(0)
    right = logits.gather(0, target)  # (1, rows, W)
    total = logits.exp_().sum(0)  # (rows, W)
    loss = (weights * (total.log() - right[0])).sum()
    logits *= weights / total
    logits.scatter_(0, target, logits.gather(0, target) - weights)
    return loss


def at_least_float32(logits: Tensor) -> Tensor:
    """Return the logits in float32, or as they are in float64."""
    return logits.to(_wide(logits))


def _wide(logits: Tensor) -> torch.dtype:
    return torch.float64 if logits.dtype == torch.float64 else torch.float32
