"""The scores of each image of an evaluation, and the boundary IoU of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch.distributed
from torch import Tensor

from pspnet.data.datasets.classes import IGNORE
from pspnet.evaluation.boundary_iou import WIDTHS, boundary_counts, width_in_pixels
from pspnet.evaluation.label_quality import label_quality
from pspnet.evaluation.metrics import Absent
from pspnet.inference.protocols import Protocol
from pspnet.inference.single_pass import FeatureLogits


@dataclass(frozen=True)
class ImageScore:
    """The scores of one image; those of an image without a counted pixel are nan.

    Args:
        name: of the sample.
        miou: mean IoU of the classes that its label has: mIoU^I of Wang et al., arXiv 2310.19252.
        iou: of these classes, (C,), nan for the others.
        accuracy: share of right pixels.
        boundary: mean boundary IoU of the label's classes at each of `WIDTHS`.
        label_quality: low where the label is likely wrong, see `evaluation.label_quality`.
        confused: the label's class and the predicted one that stand against each other most
            often, and their share of the pixels; None if all pixels are right.
    """

    name: str
    miou: float
    iou: np.ndarray
    accuracy: float
    boundary: tuple[float, ...]
    label_quality: float
    confused: tuple[int, int, float] | None


def score_image(
    prediction: np.ndarray, target: np.ndarray, *, name: str, num_classes: int, quality: float
) -> tuple[ImageScore, np.ndarray]:
    """Return the scores of an image, and its boundary counts (WIDTHS, 2, C).

    Args:
        prediction: class ids, (H, W) uint8.
        target: class ids, (H, W) uint8, 255 where ignored.
        name: of the sample.
        num_classes: C.
        quality: of the label.
    """
    counted = target != IGNORE
    pairs = target[counted].astype(np.intp) * num_classes + prediction[counted]
    matrix = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    labeled, right = matrix.sum(1), matrix.diagonal()
    size = (target.shape[0], target.shape[1])
    distances = [width_in_pixels(width, size) for width in WIDTHS]
    sides = boundary_counts(prediction, target, num_classes=num_classes, distances=distances)
    iou = _share(right, np.where(labeled > 0, labeled + matrix.sum(0) - right, 0))
    score = ImageScore(
        name,
        _mean(iou),
        iou,
        float(_share(right.sum(), labeled.sum())),
        tuple(_mean(_share(both, np.where(labeled > 0, either, 0))) for both, either in sides),
        quality,
        _confused(matrix),
    )
    return score, sides


@dataclass(frozen=True)
class ByImage:
    """The scores of all images, by name, and the boundary counts (WIDTHS, 2, C) of their sum."""

    rows: list[ImageScore]
    boundary: np.ndarray

    def worst(self) -> list[ImageScore]:
        """Return the rows by mIoU, the lowest first; images without a counted pixel are last."""
        return sorted(self.rows, key=lambda row: np.nan_to_num(row.miou, nan=2.0))

    def suspects(self) -> list[ImageScore]:
        """Return the rows by the quality of their labels, likely errors first."""
        return sorted(self.rows, key=lambda row: np.nan_to_num(row.label_quality, nan=2.0))

    def describe(self, names: Sequence[str], *, absent: Absent) -> dict[str, Any]:
        """Return the entries of results.json, which name no image: it may be published.

        Args:
            names: of the classes.
            absent: rule for classes without a boundary in target and prediction.
        """
        widths = {}
        for width, (both, either) in zip(WIDTHS, self.boundary, strict=True):
            iou = _share(both, either)
            mean = _mean(iou if absent == "skip" else np.nan_to_num(iou))
            by_class = {name: _plain(it) for name, it in zip(names, iou, strict=True)}
            widths[f"{width:.1%}"] = {"miou": _plain(mean), "iou": by_class}
        mean = _mean(np.array([row.miou for row in self.rows]))
        return {"image_miou": _plain(mean), "boundary_iou": widths}


@dataclass
class ImageScores:
    """Collects the scores of the images that this process evaluates.

    Args:
        num_classes: C.
    """

    num_classes: int
    rows: list[ImageScore] = field(default_factory=list)
    boundary: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.boundary = np.zeros((len(WIDTHS), 2, self.num_classes), np.int64)

    def update(
        self,
        prediction: Tensor,
        scores: FeatureLogits | Tensor,
        target: Tensor,
        names: Sequence[str],
        protocol: Protocol,
    ) -> None:
        """Add some images.

        Args:
            prediction, scores: of `inference.class_scores.predict`.
            target: (N, H, W) int64, 255 where ignored.
            names: of the images.
            protocol: of the scores.
        """
        for index, name in enumerate(names):
            score, boundary = score_image(
                *(labels[index].cpu().numpy().astype(np.uint8) for labels in (prediction, target)),
                name=name,
                num_classes=self.num_classes,
                quality=label_quality(scores, index, target[index], protocol),
            )
            self.rows.append(score)
            self.boundary += boundary

    def compute(self) -> ByImage:
        """Return the scores of the images of all processes, each of which must call it."""
        parts = gathered((self.rows, self.boundary))
        rows = sorted((row for rows, _ in parts for row in rows), key=lambda row: row.name)
        return ByImage(rows, sum(boundary for _, boundary in parts))


def gathered(value: Any) -> list[Any]:
    """Return the value of every process of a distributed run, each of which must call it."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [value]
    found = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, value)
    return found


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part/whole, nan where the whole is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _mean(values: np.ndarray) -> float:
    """Return the mean of the values that are numbers, nan if none is."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _confused(matrix: np.ndarray) -> tuple[int, int, float] | None:
    wrong = matrix * ~np.eye(len(matrix), dtype=bool)
    label, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    most = wrong[label, predicted]
    return (int(label), int(predicted), float(most / matrix.sum())) if most else None
