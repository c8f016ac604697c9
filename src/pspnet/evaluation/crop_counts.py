"""Pixels of training crops counted for mIoU, from the logits that the step has anyway."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def crop_counts(logits: Tensor, target: Tensor, *, stride: int, align_corners: bool) -> Tensor:
    """Return the confusion matrix of crops on a grid of pixels, (C, C) int64, rows target.

    Predictions are compared at the places of the features alone, every `stride` pixels: there the
    upsampled logits are those at feature resolution, which need not be upsampled for this. The host
    waits for no result.

    Args:
        logits: (N, C, H, W), or at feature resolution, (N, C, h, w).
        target: (N, H, W) int64; what is no class's id does not count.
        stride: pixels per feature.
        align_corners: how the logits are upsampled.
    """
    logits, classes = logits.detach(), logits.shape[1]
    full = logits.shape[2:] == target.shape[1:]
    places = []
    for axis in (1, 2):
        features = -(-target.shape[axis] // stride) if full else logits.shape[axis + 1]
        places.append(_places(target.shape[axis], features, align_corners, target.device))
        if full:
            logits = logits.index_select(axis + 1, places[-1])
    found = target[:, places[0][:, None], places[1]]  # (N, h, w)
    pairs = torch.where(found < classes, found * classes + logits.argmax(1), classes**2)
    pairs = pairs.flatten()
    counts = pairs.new_zeros(classes**2 + 1).scatter_add_(0, pairs, torch.ones_like(pairs))
    return counts[:-1].view(classes, classes)


@lru_cache(maxsize=16)
def _places(pixels: int, features: int, align_corners: bool, device: torch.device) -> Tensor:
    """Return the pixel next to each feature, (features,)."""
    first = 0.0 if align_corners else (pixels / features - 1) / 2
    with torch.inference_mode(False), torch.device("cpu"):
        places = torch.linspace(first, pixels - 1 - first, features).round().long()
        return places.clamp(0, pixels - 1).to(device)
