"""Scores from one confusion matrix over the whole data set: mIoU and accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.utilities.distributed import gather_all_tensors

from pspnet.errors import UserError

Absent = Literal["skip", "zero"]


class SegmentationMetrics(MulticlassJaccardIndex):
    """mIoU over all pixels seen since the last reset, on every process of a distributed run.

    A JaccardIndex that also takes pixel weights and knows semseg's rule for absent classes. One
    confusion matrix, rows truth, columns prediction: `confmat`, (C, C), int64, and float64 from the
    first weighted update on. Processes add theirs up in `compute` and `total`, so nothing is
    averaged over batches; that no sample is seen twice is the sampler's part.

    Args:
        num_classes: C, 1 to 255.
        absent: what a class does to a mean when neither truth nor prediction has it: "skip" leaves
            it out (torchmetrics' macro average, mmsegmentation), "zero" counts it as 0 (semseg).
        ignore_index: the label of pixels that do not count, C to 255.

    Raises:
        ValueError: if num_classes or ignore_index is out of its range.
    """

    confmat: Tensor

    def __init__(self, num_classes: int, absent: Absent = "skip", ignore_index: int = 255) -> None:
        if not 1 <= num_classes <= 255:
            raise UserError(f"num_classes={num_classes}: give 1 to 255 classes")
        if not num_classes <= ignore_index <= 255:
            raise UserError(
                f"ignore_index={ignore_index}: give {num_classes} to 255, no class's id"
            )
        super().__init__(
            num_classes,
            average="macro",
            ignore_index=ignore_index,
            validate_args=False,  # `update` checks by itself, at no cost
            dist_sync_fn=_gather,
        )
        self.absent: Absent = absent

    def update(self, pred: Tensor, label: Tensor, weight: Tensor | None = None) -> None:
        """Counts a batch.

        Args:
            pred: class ids, (N, H, W), 0 to C-1.
            label: class ids, (N, H, W), 0 to C-1 or ignore_index.
            weight: what each pixel counts, (N, H, W), 0 or more; None counts each as 1.

        Raises:
            ValueError: if the shapes differ, or an id is no class's.
        """
        classes, ignored = len(self.confmat), cast(int, self.ignore_index)
        self.confmat = self.confmat + confusion(
            pred, label, num_classes=classes, ignore_index=ignored, weight=weight
        )

    def compute(self) -> Tensor:
        """mIoU in [0, 1], 0-dim float32; nan if no pixel counted and absent classes are skipped."""
        return mean_iou(self.confmat, self.absent).to(self.confmat.device, torch.float32)

    def total(self) -> Tensor:
        """The matrix over all processes, (C, C); in a distributed run all of them must call it."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return self.confmat.clone()


def _gather(state: Tensor, group: Any = None) -> list[Tensor]:
    """Every process's state; float64 on all if on one, as a process may have seen no batch."""
    weighted = torch.tensor([int(state.is_floating_point())], device=state.device)
    if torch.stack(gather_all_tensors(weighted, group)).any():
        state = state.double()
    return gather_all_tensors(state, group)


def confusion(
    pred: Tensor,
    label: Tensor,
    *,
    num_classes: int,
    ignore_index: int = 255,
    weight: Tensor | None = None,
    no_class: int | None = None,
) -> Tensor:
    """Confusion matrix (C, C) of ids 0 to 255, rows truth, columns prediction; float64 if weighted.

    With `no_class`, an id that predictions may hold and no class has, the matrix is (C, C+1): the
    last column counts the pixels predicted so, which their classes miss. All scores take both.

    Raises:
        ValueError: if the shapes differ, or an id of a pixel that counts is no class's.
    """
    for name, other in (("pred", pred), ("weight", weight)):
        if other is not None and other.shape != label.shape:
            raise UserError(
                f"{name} {tuple(other.shape)} and label {tuple(label.shape)} differ in shape; "
                "give class ids (logits.argmax(1)) and one weight a pixel"
            )
    # one count of all pairs of bytes: nothing is masked and copied, and wrong ids show
    pairs = torch.add(pred.long(), label.long(), alpha=256).flatten()
    if weight is None:
        counts = torch.bincount(pairs, minlength=256 * 256)
    else:  # bincount takes weights too, but not on a GPU with deterministic algorithms
        counts = torch.zeros(256 * 256, dtype=torch.float64, device=label.device)
        counts.index_add_(0, pairs, weight.flatten().double())
    grid = counts.view(-1, 256)  # (label, prediction)
    grid[ignore_index] = 0
    columns = [*range(num_classes), *([] if no_class is None else [no_class])]
    matrix = grid[:num_classes, columns]
    grid[:num_classes, columns] = 0
    if grid.any():
        truth, guess = (int(index) for index in grid.nonzero()[0])
        raise UserError(
            f"a pixel of label {truth} and prediction {guess} with {num_classes} classes; "
            f"give ids of 0 to {num_classes - 1}, or {ignore_index} for ignored labels"
        )
    return matrix


def iou_per_class(matrix: Tensor) -> Tensor:
    """Intersection over union, (C,) float64; nan where neither truth nor prediction has a pixel."""
    m = _float64(matrix)
    return m.diag() / (m.sum(0)[: len(m)] + m.sum(1) - m.diag())


def accuracy_per_class(matrix: Tensor) -> Tensor:
    """Part of each class's pixels that were found, (C,) float64; nan where the truth has none."""
    m = _float64(matrix)
    return m.diag() / m.sum(1)


def mean_iou(matrix: Tensor, absent: Absent = "skip") -> Tensor:
    """mIoU, 0-dim float64."""
    return _mean(iou_per_class(matrix), absent)


def mean_accuracy(matrix: Tensor, absent: Absent = "skip") -> Tensor:
    """Mean of the classes' accuracies, 0-dim float64; absent is here what the truth lacks."""
    return _mean(accuracy_per_class(matrix), absent)


def pixel_accuracy(matrix: Tensor) -> Tensor:
    """Part of all pixels that were found, 0-dim float64; nan if no pixel counted."""
    m = _float64(matrix)
    return m.diag().sum() / m.sum()


def group_iou(matrix: Tensor, classes: Sequence[int], absent: Absent = "skip") -> Tensor:
    """Mean IoU of some classes, given by index, 0-dim float64."""
    return _mean(iou_per_class(matrix)[list(classes)], absent)


def merged(matrix: Tensor, parts: Sequence[Sequence[int]]) -> Tensor:
    """The matrix once classes are not told apart, (G, G), or (G, G+1) of a (C, C+1).

    Its scores are those of Cityscapes' categories: what is taken for another class of the same
    category is right.

    Args:
        matrix: (C, C) or (C, C+1).
        parts: the indices of the classes of each category, every class in one.
    """
    rows = torch.stack([matrix[list(part)].sum(0) for part in parts])  # (G, C) or (G, C+1)
    columns = torch.stack([rows[:, list(part)].sum(1) for part in parts], 1)  # (G, G)
    return torch.cat([columns, rows[:, len(matrix) :]], 1)


def _float64(matrix: Tensor) -> Tensor:
    return matrix.detach().cpu().double()  # in this order: some accelerators have no float64


def _mean(values: Tensor, absent: Absent) -> Tensor:
    return values.nanmean() if absent == "skip" else values.nan_to_num(nan=0.0).mean()
