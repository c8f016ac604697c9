"""Pixels counted by the classes of target and prediction."""

from __future__ import annotations

import torch
from torch import Tensor

from pspnet.errors import UserError


def confusion_matrix(
    preds: Tensor,
    target: Tensor,
    *,
    num_classes: int,
    ignore_index: int = 255,
    weight: Tensor | None = None,
    no_class: int | None = None,
) -> Tensor:
    """Confusion matrix (C, C) of ids 0 to 255: rows target, columns prediction.

    Args:
        preds: ids of any shape.
        target: ids of the same shape.
        num_classes: C.
        ignore_index: the label of pixels that do not count.
        weight: the count of each pixel, of the same shape; None counts each as 1.
        no_class: an id that stands for no class in predictions. The matrix then is (C, C+1), and
            its last column counts the pixels predicted as this id. All scores take both forms.

    Returns:
        int64 on the device of `target`; float64 on the CPU with weights.

    Raises:
        UserError: if the shapes differ, or an id of a pixel that counts names no class.
    """
    grid = _count_pairs(preds, target, weight)
    grid[ignore_index] = 0
    columns = [*range(num_classes), *([] if no_class is None else [no_class])]
    matrix = grid[:num_classes, columns]
    grid[:num_classes, columns] = 0
    if grid.any():
        wrong_target, wrong_pred = (int(index) for index in grid.nonzero()[0])
        raise UserError(
            f"a pixel of target {wrong_target} and prediction {wrong_pred} with {num_classes} "
            f"classes; give ids of 0 to {num_classes - 1}, or {ignore_index} for ignored pixels"
        )
    return matrix


def _count_pairs(preds: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """Count all pairs of bytes, (256, 256): nothing is masked and copied, and wrong ids show."""
    for name, other in (("preds", preds), ("weight", weight)):
        if other is not None and other.shape != target.shape:
            raise UserError(
                f"{name} {tuple(other.shape)} and target {tuple(target.shape)} differ in shape; "
                "give class ids (logits.argmax(1)) and one weight per pixel"
            )
    pairs = torch.add(preds.long(), target.long(), alpha=256).flatten()
    if weight is not None:  # MPS has no float64, and CUDA's weighted count is not deterministic
        pairs, weight = pairs.cpu(), weight.flatten().cpu().double()
    return torch.bincount(pairs, weights=weight, minlength=256 * 256).view(-1, 256)


def counts_on_device(
    preds: Tensor, target: Tensor, *, num_classes: int, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Return what `confusion_matrix` returns, and the number of wrong ids; the host does not wait.

    Rows of pixels are counted apart, 32 at a time: most pixels fall on few pairs of classes, whose
    counters would keep each other waiting.

    Args:
        preds: ids, (..., W).
        target: ids, (..., W).
        num_classes: C.
        ignore_index: the label of pixels that do not count.

    Returns:
        (C, C) int64, rows target, columns prediction; 0-dim int64.
    """
    size = num_classes + 1  # the last row and column hold ids of no class
    rows, columns = (
        torch.where((ids >= 0) & (ids < num_classes), ids, num_classes)
        for ids in (each.long().reshape(-1, target.shape[-1]) for each in (target, preds))
    )
    pairs = rows * size + columns
    part = torch.arange(len(pairs), device=pairs.device)[:, None] % 32
    places = (pairs + part * size**2).flatten()
    counted = (target != ignore_index).long().flatten()
    grid = counted.new_zeros(32, size, size).flatten().scatter_add_(0, places, counted)
    grid = grid.view(32, size, size).sum(0)
    matrix = grid[:num_classes, :num_classes]
    return matrix, grid.sum() - matrix.sum()
