"""Segmentation scores from one confusion matrix over the whole data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.utilities.distributed import gather_all_tensors

from pspnet.errors import UserError
from pspnet.evaluation.confusion_matrix import confusion_matrix, counts_on_device
from pspnet.ops.arriving import Arriving

Absent = Literal["skip", "zero"]


class SegmentationMetrics(MulticlassJaccardIndex):
    """mIoU over all pixels since the last reset, summed over the processes of a distributed run.

    A JaccardIndex that also takes pixel weights and has semseg's rule for absent classes. Its state
    is one confusion matrix `confmat`, (C, C), rows target, columns prediction: int64 on the
    metric's device. The first weighted update makes it float64 and moves it to the CPU, since
    Apple's MPS has no float64. Samplers must not show a sample twice; the metric cannot tell.

    Args:
        num_classes: C, 1 to 255.
        absent: rule for classes in neither target nor prediction: "skip" leaves them out of a mean
            (torchmetrics' macro average, mmsegmentation), "zero" counts them as 0 (semseg).
        ignore_index: the label of pixels that do not count, C to 255.

    Raises:
        UserError: if num_classes or ignore_index is out of its range.
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
            validate_args=False,  # `confusion_matrix` checks, at no cost
            dist_sync_fn=self._gather,
        )
        self.absent: Absent = absent
        self._unchecked: tuple[Arriving, Tensor, Tensor] | None = None

    def update(self, preds: Tensor, target: Tensor, weight: Tensor | None = None) -> None:
        """Count a batch.

        Args:
            preds: class ids, (N, H, W), 0 to C-1.
            target: class ids, (N, H, W), 0 to C-1 or ignore_index.
            weight: the count of each pixel, (N, H, W), 0 or more; None counts each as 1.

        Raises:
            UserError: if the shapes differ, or an id names no class.
        """
        self.check()
        classes, ignored = len(self.confmat), cast(int, self.ignore_index)
        if weight is None and target.device.type != "cpu" and preds.shape == target.shape:
            matrix, wrong = counts_on_device(
                preds, target, num_classes=classes, ignore_index=ignored
            )
            self._unchecked = (Arriving(wrong), preds, target)
        else:
            matrix = confusion_matrix(
                preds, target, num_classes=classes, ignore_index=ignored, weight=weight
            )
        if matrix.is_floating_point():
            self.confmat = self.confmat.cpu()
        self.confmat = self.confmat + matrix.to(self.confmat.device)

    def check(self) -> None:
        """Check the ids of the last batch, whose counts an accelerator may not have had ready.

        Raises:
            UserError: if one names no class.
        """
        if self._unchecked is None:
            return
        (wrong, preds, target), self._unchecked = self._unchecked, None
        if wrong.item():
            classes, ignored = len(self.confmat), cast(int, self.ignore_index)
            confusion_matrix(preds, target, num_classes=classes, ignore_index=ignored)  # says which

    def compute(self) -> Tensor:
        """mIoU in [0, 1], 0-dim float32; nan if no pixel counted and absent classes are skipped."""
        self.check()
        return mean_iou(self.confmat, self.absent).float().to(self.device)

    def reset(self) -> None:
        """Forget all pixels, and that they had weights."""
        self._unchecked = None
        super().reset()
        self.confmat = self.confmat.to(self.device)  # weights had moved it to the CPU

    def total(self) -> Tensor:
        """The matrix over all processes, (C, C); in a distributed run all of them must call it."""
        self.check()
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return self.confmat.clone()

    def _gather(self, state: Tensor, group: Any = None) -> list[Tensor]:
        """The state of every process, float64 if one of them is: one may have seen no batch."""
        weighted = torch.tensor([int(state.is_floating_point())], device=self.device)
        if not torch.stack(gather_all_tensors(weighted, group)).any():
            return gather_all_tensors(state, group)
        bits = state.cpu().double().view(torch.int64)  # travels on any device, unchanged
        everyone = gather_all_tensors(bits.to(self.device), group)
        return [bits.cpu().view(torch.float64) for bits in everyone]


class WeightedMean(Metric):
    """Mean of numbers by their weights, over all processes; a number that is nan makes it nan.

    torchmetrics' `MeanMetric` has the host wait for a check of each number, and forgets the weights
    where the check is switched off.
    """

    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight"):
            self.add_state(name, default=torch.zeros(()), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: Tensor) -> None:
        """Add a number, 0-dim, with its weight, 0-dim; with weight 0 not even nan counts."""
        self.total = self.total + torch.where(weight > 0, value * weight, 0)
        self.weight = self.weight + weight

    def compute(self) -> Tensor:
        """The mean, 0-dim; nan without a weight."""
        return self.total / self.weight


def iou_per_class(matrix: Tensor) -> Tensor:
    """Intersection over union, (C,) float64; nan for classes in neither target nor prediction."""
    m = _float64(matrix)
    return m.diag() / (m.sum(0)[: len(m)] + m.sum(1) - m.diag())


def accuracy_per_class(matrix: Tensor) -> Tensor:
    """Share of each class's pixels that are found, (C,) float64; nan for classes without pixels."""
    m = _float64(matrix)
    return m.diag() / m.sum(1)


def mean_iou(matrix: Tensor, absent: Absent = "skip") -> Tensor:
    """mIoU, 0-dim float64."""
    return _mean(iou_per_class(matrix), absent)


def mean_accuracy(matrix: Tensor, absent: Absent = "skip") -> Tensor:
    """Mean per-class accuracy, 0-dim float64; absent are here the classes not in the target."""
    return _mean(accuracy_per_class(matrix), absent)


def pixel_accuracy(matrix: Tensor) -> Tensor:
    """Share of all pixels that are predicted right, 0-dim float64; nan if no pixel counted."""
    m = _float64(matrix)
    return m.diag().sum() / m.sum()


def group_iou(matrix: Tensor, classes: Sequence[int], absent: Absent = "skip") -> Tensor:
    """Mean IoU of some classes, given by index, 0-dim float64."""
    return _mean(iou_per_class(matrix)[list(classes)], absent)


def merge_classes(matrix: Tensor, categories: Sequence[Sequence[int]]) -> Tensor:
    """Confusion matrix of categories, (G, G), or (G, G+1) from a matrix (C, C+1).

    A class predicted as another class of its category counts as right, as in Cityscapes' scores of
    categories.

    Args:
        matrix: (C, C) or (C, C+1).
        categories: the indices of the classes of each category; each class is in exactly one.
    """
    rows = torch.stack([matrix[list(part)].sum(0) for part in categories])  # (G, C) or (G, C+1)
    columns = torch.stack([rows[:, list(part)].sum(1) for part in categories], 1)  # (G, G)
    return torch.cat([columns, rows[:, len(matrix) :]], 1)


def _float64(matrix: Tensor) -> Tensor:
    return matrix.detach().cpu().double()  # in this order: some accelerators have no float64


def _mean(values: Tensor, absent: Absent) -> Tensor:
    return values.nanmean() if absent == "skip" else values.nan_to_num(nan=0.0).mean()
