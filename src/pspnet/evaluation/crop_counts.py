"""Pixels of training crops counted for mIoU, from the logits that the step has anyway."""

from __future__ import annotations

import torch
from torch import Tensor


def crop_counts(
    logits: Tensor, target: Tensor, *, stride: int, align_corners: bool
) -> tuple[Tensor, Tensor]:
    """Return the confusion matrix of crops on a grid of pixels, and the pixels of each class.

    Predictions are compared at the places of the features alone, every `stride` pixels: there the
    upsampled logits are those at feature resolution, which need not be upsampled for this.

    Args:
        logits: (N, C, H, W), or at feature resolution, (N, C, h, w).
        target: (N, H, W) int64; what is no class's id does not count.
        stride: pixels per feature.
        align_corners: how the logits are upsampled.

    Returns:
        (C, C) int64, rows target, columns prediction, on the grid; (C,) int64 of all pixels.
    """
    logits, classes = logits.detach(), logits.shape[1]
    full = logits.shape[2:] == target.shape[1:]
    places = []
    for axis in (1, 2):
        features = -(-target.shape[axis] // stride) if full else logits.shape[axis + 1]
        place = _places(target.shape[axis], features, align_corners=align_corners)
        places.append(place.to(target.device))
        if full:
            logits = logits.index_select(axis + 1, places[-1])
    found = target[:, places[0][:, None], places[1]]  # (N, h, w)
    pairs = torch.where(found < classes, found * classes + logits.argmax(1), classes**2)
    matrix = torch.bincount(pairs.flatten(), minlength=classes**2 + 1)[:-1]
    pixels = torch.bincount(target.flatten(), minlength=classes)[:classes]
    return matrix.view(classes, classes), pixels


def _places(pixels: int, features: int, *, align_corners: bool) -> Tensor:
    """Return the pixel next to each feature, (features,)."""
    first = 0.0 if align_corners else (pixels / features - 1) / 2
    return torch.linspace(first, pixels - 1 - first, features).round().long().clamp(0, pixels - 1)
