"""Checks that the other forms of a loss, `chunked` and `total_weight`, stand for its `forward`."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pspnet.ops.equivalence import nearly_equal, why_not_plain

IGNORE = 255  # the target of pixels that do not train


def why_not_chunked(loss: nn.Module, num_classes: int) -> str | None:
    """Return why `loss.chunked` does not stand for the loss as it is, or None.

    The class that defines `forward` has to define `chunked` as well, the loss must have no hooks,
    and both forms have to give the same value and gradient on small logits.

    Args:
        loss: with its options and class weights.
        num_classes: number of classes C.
    """
    if (reason := _why_without(loss, "chunked")) is not None:
        return reason
    copied = copy.deepcopy(loss).cpu().double()
    values = [_on_small_logits(copied, num_classes, chunked=form) for form in (True, False)]
    if not nearly_equal(*values):
        return f"{type(loss).__name__}.chunked differs from its forward"
    return None


def why_not_composed(loss: nn.Module, num_classes: int) -> str | None:
    """Return why the loss of a batch is not the mean of its parts' by `total_weight`, or None.

    The class that defines `forward` has to define `total_weight` as well, and the loss of small
    logits has to be composed of those of its two halves.

    Args:
        loss: with its options and class weights.
        num_classes: number of classes C.
    """
    if (reason := _why_without(loss, "total_weight")) is not None:
        return reason
    copied = copy.deepcopy(loss).cpu().double()
    with torch.no_grad():
        logits, target = _small_logits(num_classes)
        full = F.interpolate(logits, target.shape[1:], mode="bilinear", align_corners=True)
        target[0, :9] = IGNORE  # the halves weigh differently
        sums = [
            copied(*pair) * copied.total_weight(pair[1], num_classes)  # type: ignore[operator]
            for pair in ((full, target), (full[:1], target[:1]), (full[1:], target[1:]))
        ]
    if not nearly_equal(sums[1] + sums[2], sums[0]):
        return f"{type(loss).__name__} is no mean by its total_weight"
    return None


def _why_without(loss: nn.Module, method: str) -> str | None:
    """Return why a method does not belong to the loss's own `forward`, or None."""
    kind = type(loss)
    owner = next(base for base in kind.__mro__ if "forward" in vars(base))
    if method not in vars(owner):
        return f"{kind.__name__} has no {method}"
    return why_not_plain(loss, kind)


def _on_small_logits(loss: nn.Module, num_classes: int, *, chunked: bool) -> Tensor:
    """Return value and gradient of a loss, by one of its forms, as one tensor."""
    with torch.inference_mode(False), torch.enable_grad():
        logits, target = _small_logits(num_classes)
        logits.requires_grad_()
        if chunked:
            value = loss.chunked(logits, target, align_corners=True)  # type: ignore[operator]
        else:
            full = F.interpolate(logits, target.shape[1:], mode="bilinear", align_corners=True)
            value = loss(full, target)
        (gradient,) = torch.autograd.grad(value, logits)
    return torch.cat([value.detach().view(1), gradient.flatten()])


def _small_logits(num_classes: int) -> tuple[Tensor, Tensor]:
    """Return logits (2, C, 3, 4) float64 and target (2, 17, 25) with ignored rows."""
    with torch.device("cpu"):
        count = 2 * num_classes * 3 * 4
        low = torch.sin(torch.arange(float(count), dtype=torch.float64)).view(2, num_classes, 3, 4)
        target = torch.arange(2 * 17 * 25).view(2, 17, 25) * 7 % num_classes
    target[:, 3:5] = IGNORE
    return 4 * low, target
