"""Class scores at an image's size, enlarged strip by strip from those at 1/8 of it.

Neither the loss nor the prediction needs the scores of every class at every pixel at once, which of
150 classes are most of a training's memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

VALUES = 2**22  # scores at once, 16 MiB in float32


@dataclass(frozen=True)
class Taps:
    """The two neighbors of each output pixel along one axis, as of torch's bilinear resize."""

    low: Tensor  # (pixels,)
    high: Tensor
    part: Tensor  # (pixels,) float64, weight of the higher


def taps(output: int, source: int, *, align_corners: bool) -> Taps:
    """Of a resize of `source` pixels to `output`."""
    pixels = torch.arange(output, dtype=torch.float64)
    if align_corners:
        place = pixels * (source - 1) / max(output - 1, 1)
    else:
        place = ((pixels + 0.5) * source / output - 0.5).clamp(0)
    low = place.floor().long().clamp(max=source - 1)
    high = (low + 1).clamp(max=source - 1)
    return Taps(low, high, part=torch.where(high > low, place - low, 0.0))


class Enlarged:
    """The scores of one image at another size, in strips of rows.

    Args:
        scores: (C, h, w); read as float32, or float64 where they are.
        size: height and width to enlarge to, bilinearly.
        align_corners: as of `torch.nn.functional.interpolate`.
        window: rows and columns of that size which are wanted; None is all.
        gradient: whether `add` will be called.
    """

    def __init__(
        self,
        scores: Tensor,
        size: tuple[int, int],
        *,
        align_corners: bool,
        window: tuple[slice, slice] | None = None,
        gradient: bool = False,
    ) -> None:
        rows, columns = window or (slice(0, size[0]), slice(0, size[1]))
        self.source = at_least_float32(scores.detach()).requires_grad_(gradient)
        with torch.set_grad_enabled(gradient):
            self.wide = self.source[None]
            if scores.shape[2] != size[1]:
                self.wide = F.interpolate(
                    self.wide,
                    size=(scores.shape[1], size[1]),
                    mode="bilinear",
                    align_corners=align_corners,
                )
            self.wide = self.wide[0, :, :, columns].contiguous()  # (C, h, W)
        found = taps(size[0], scores.shape[1], align_corners=align_corners)
        self.low, self.high = (t[rows].to(scores.device) for t in (found.low, found.high))
        self.part = found.part[rows].to(self.wide.device, self.wide.dtype)[:, None]
        self.resized = scores.shape[1] != size[0]
        self.total = torch.zeros_like(self.wide) if gradient else None

    def strips(self) -> Iterator[tuple[slice, Tensor]]:
        """Rows of the window with their scores, (C, rows, W), which may be written over."""
        wide = self.wide.detach()
        classes, _, width = wide.shape
        step = max(1, VALUES // (classes * width))
        for first in range(0, len(self.low), step):
            rows = slice(first, min(first + step, len(self.low)))
            scores = wide.index_select(1, self.low[rows])
            if self.resized:
                scores.lerp_(wide.index_select(1, self.high[rows]), self.part[rows])
            yield rows, scores

    def add(self, rows: slice, gradient: Tensor) -> None:
        """Takes the gradient by the scores of a strip, (C, rows, W), which is written over."""
        assert self.total is not None
        if self.resized:
            self.total.index_add_(1, self.high[rows], gradient * self.part[rows])
            gradient.mul_(1 - self.part[rows])
        self.total.index_add_(1, self.low[rows], gradient)

    def gradient(self) -> Tensor:
        """The gradient by the scores as they were given, (C, h, w)."""
        (found,) = torch.autograd.grad(self.wide, self.source, self.total)
        return found


def predict(
    scores: Tensor,
    size: tuple[int, int],
    *,
    align_corners: bool,
    window: tuple[slice, slice] | None = None,
) -> Tensor:
    """The class with the highest score, (N, H, W) uint8, of scores (N, C, h, w) enlarged.

    Args:
        scores: of at most 256 classes.
        size: height and width to enlarge to, bilinearly.
        align_corners: as of `torch.nn.functional.interpolate`.
        window: rows and columns of that size which are wanted; None is all.
    """
    images = []
    for image in scores:
        enlarged = Enlarged(image, size, align_corners=align_corners, window=window)
        strips = [strip.argmax(0).to(torch.uint8) for _, strip in enlarged.strips()]
        images.append(torch.cat(strips))
    return torch.stack(images)


def pixel_losses(logits: Tensor, label: Tensor, *, ignore: int, align_corners: bool) -> Tensor:
    """Cross-entropy -log p of each pixel, (N, H, W) float32 or float64, 0 where ignored.

    Without gradients.

    Args:
        logits: (N, C, h, w), enlarged to the label's size.
        label: (N, H, W) int64 in 0 to C-1, or `ignore`.
        ignore: the label that has no loss.
        align_corners: as of `torch.nn.functional.interpolate`.
    """
    losses = torch.empty(label.shape, dtype=_wide(logits), device=label.device)
    size = (label.shape[1], label.shape[2])
    for scores, truth, found in zip(logits, label, losses, strict=True):
        enlarged = Enlarged(scores, size, align_corners=align_corners)
        for rows, strip in enlarged.strips():
            found[rows] = F.cross_entropy(
                strip[None], truth[rows][None], ignore_index=ignore, reduction="none"
            )[0]
    return losses


def weighted_cross_entropy(
    logits: Tensor, label: Tensor, weights: Tensor, *, align_corners: bool
) -> Tensor:
    """Sum of weights·cross-entropy over sum of weights, 0-dim; 0 where all weights are 0.

    The gradient by the logits is made along with the loss, strip by strip, so that nothing of the
    label's size but one strip is ever held for all classes; it has no second derivative.

    Args:
        logits: (N, C, h, w), enlarged to the label's size.
        label: (N, H, W) int64; what has weight 0 may be of any value.
        weights: (N, H, W), 0 or more.
        align_corners: as of `torch.nn.functional.interpolate`.
    """
    loss: Tensor = _WeightedCrossEntropy.apply(logits, label, weights, align_corners)
    return loss


class _WeightedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, label: Tensor, weights: Tensor, align_corners: bool
    ) -> Tensor:
        wanted = bool(ctx.needs_input_grad[0])
        weights = weights.to(_wide(logits))
        total = weights.sum()
        shares = weights / torch.where(total > 0, total, 1)
        truth = torch.where(weights > 0, label, 0)
        loss = shares.new_zeros(())
        gradients = []
        for scores, true, share in zip(logits, truth, shares, strict=True):
            size = (true.shape[0], true.shape[1])
            enlarged = Enlarged(scores, size, align_corners=align_corners, gradient=wanted)
            for rows, strip in enlarged.strips():
                loss += _cross_entropy_(strip, true[rows][None], share[rows])
                if wanted:
                    enlarged.add(rows, strip)
            if wanted:
                gradients.append(enlarged.gradient())
        if wanted:
            ctx.save_for_backward(torch.stack(gradients))
            ctx.dtype = logits.dtype
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return (gradient * upstream).to(ctx.dtype), None, None, None


def _cross_entropy_(scores: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Sum of weights·cross-entropy; the scores (C, rows, W) become its gradient by them."""
    scores -= scores.amax(0)
    right = scores.gather(0, truth)  # (1, rows, W)
    total = scores.exp_().sum(0)  # (rows, W)
    loss = (weights * (total.log() - right[0])).sum()
    scores *= weights / total
    scores.scatter_(0, truth, scores.gather(0, truth) - weights)
    return loss


def at_least_float32(scores: Tensor) -> Tensor:
    """The scores in float32, or in float64 where they are."""
    return scores.to(_wide(scores))


def _wide(scores: Tensor) -> torch.dtype:
    return torch.float64 if scores.dtype == torch.float64 else torch.float32
