"""Cityscapes' instance-level IoU (iIoU) of classes and categories with instances.

Right and missed pixels of each instance are weighted by the average size of its class over its own
size; pixels that are wrongly predicted as the class have no instance and count as they are:
iTP / (iTP + FP + iFN). Instances of a group of objects do not count.

Source: evalPixelLevelSemanticLabeling.py of github.com/mcordts/cityscapesScripts, `avgClassSize`
and `getInstanceIouScoreForLabel`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

import numpy as np

from pspnet.data.datasets.cityscapes import CATEGORIES, LABEL_IDS
from pspnet.data.datasets.classes import IGNORE
from pspnet.data.image_io import decode, read_bytes
from pspnet.data.label_io import LabelCode, read_label
from pspnet.errors import UserError
from pspnet.evaluation.official import OFFICIAL_SCORERS, Values

SIZES = {  # pixels of an average instance
    "person": 3462.4756337644,
    "rider": 3930.4788056518,
    "car": 12794.0202738185,
    "truck": 27855.1264367816,
    "bus": 35732.1511111111,
    "train": 67583.7075812274,
    "motorcycle": 6298.7200839748,
    "bicycle": 4672.3249222261,
}
UNSCORED = {"vehicle": (29, 30)}  # label ids of caravan and trailer, right within a vehicle
GROUPS = 1000  # values up to it are label ids, of groups too; above, 1000 · label id + number


class InstanceScores(TypedDict):
    """iIoU in [0, 1], None where it is undefined; means are over the others."""

    classes: dict[str, float | None]
    categories: dict[str, float | None]
    mean_of_classes: float | None
    mean_of_categories: float | None


class InstanceIoU:
    """Counts the pixels of instances over images.

    Args:
        names: of the classes, in the order of their train ids.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        ids = dict(zip(names, LABEL_IDS, strict=True))
        self.evaluated = np.isin(np.arange(256), LABEL_IDS)
        self.classes = {name: (ids[name],) for name in SIZES}  # one of them stands for the class
        self.members = {
            category: tuple(ids[name] for name in part)
            for category, part in CATEGORIES.items()
            if {*part} <= {*SIZES}
        }
        self.accepted = {
            category: (*part, *UNSCORED.get(category, ()))
            for category, part in self.members.items()
        }
        self.weight = np.zeros(256)
        self.weight[[ids[name] for name in SIZES]] = [*SIZES.values()]
        self.pairs = np.zeros((256, 256), np.int64)  # pixels, by label id and predicted one
        # weighted: right and missed ones of each class, by its label id, and of each category
        self.right = dict.fromkeys((*self.classes, *self.members), 0.0)
        self.missed = dict(self.right)

    def update(self, predicted: np.ndarray, target: np.ndarray, instances: np.ndarray) -> None:
        """Add an image.

        Args:
            predicted: label ids, (H, W) uint8.
            target: label ids, (H, W) uint8.
            instances: (H, W), label ids, and 1000 · label id + number where there is an instance.
        """
        pairs = target.astype(np.uint16).ravel() * 256 + predicted.ravel()
        self.pairs += np.bincount(pairs, minlength=256 * 256).reshape(256, 256)
        things = instances > GROUPS
        pairs = instances[things].astype(np.int64) * 256 + predicted[things]
        pairs, counts = np.unique(pairs, return_counts=True)  # few, so all that follows is short
        numbers, found = pairs // 256, pairs % 256
        labels = np.minimum(numbers // GROUPS, 255)
        _, place = np.unique(numbers, return_inverse=True)
        sizes = np.bincount(place, weights=counts)[place]
        weighted = counts * self.weight[labels] / sizes
        accepted = {**self.classes, **self.accepted}
        for name, members in {**self.classes, **self.members}.items():
            own, right = np.isin(labels, members), np.isin(found, accepted[name])
            self.right[name] += float(weighted[own & right].sum())
            self.missed[name] += float(weighted[own & ~right].sum())

    def compute(self) -> InstanceScores:
        """Return the scores of all images so far."""
        classes = {name: self._score(name, (one,), (one,)) for name, (one,) in self.classes.items()}
        categories = {
            name: self._score(name, part, self.accepted[name])
            for name, part in self.members.items()
        }
        return {
            "classes": classes,
            "categories": categories,
            "mean_of_classes": _mean(classes.values()),
            "mean_of_categories": _mean(categories.values()),
        }

    def _score(self, name: str, own: tuple[int, ...], accepted: tuple[int, ...]) -> float | None:
        others = self.evaluated & ~np.isin(np.arange(256), own)
        wrong = int(self.pairs[others][:, [*accepted]].sum())
        right, missed = self.right[name], self.missed[name]
        union = right + wrong + missed
        return right / union if union else None


def instance_iou(pairs: Iterable[tuple[Path, Path]], *, values: Values) -> InstanceScores:
    """Score prediction files with their ground truth, beside which the instances lie.

    Args:
        pairs: predictions and *_gtFine_labelIds.png; *_gtFine_instanceIds.png lies beside it.
        values: see `tools.score.count_pixels`.

    Raises:
        UserError: if a file of instances is missing, or of another format or size.
    """
    scorer = OFFICIAL_SCORERS["cityscapes"]
    stored = _label_ids(scorer.target_code())
    predicted = stored if values == "stored" else _label_ids_of_train_ids()
    counts = InstanceIoU(tuple(scorer.source.classes.names))
    for prediction, target in pairs:
        labels = read_label(target, stored)
        counts.update(read_label(prediction, predicted), labels, _instances(target, labels.shape))
    return counts.compute()


def instance_table(scores: InstanceScores) -> str:
    """Return the scores in percent for the terminal; – where undefined."""
    rows = {f"category {name}": iou for name, iou in scores["categories"].items()}
    rows = {**scores["classes"], **rows}
    width = max(map(len, rows))
    said = {name: "–" if iou is None else f"{100 * iou:.2f}" for name, iou in rows.items()}
    lines = [f"{name:{width}}{iou:>12}" for name, iou in {"class": "iIoU %", **said}.items()]
    return "\n".join([lines[0], "─" * (width + 12), *lines[1:]])


def _label_ids(code: LabelCode) -> LabelCode:
    """Return a code that accepts the same values and keeps them as they are."""
    table = np.where(code.values[:256] >= 0, np.arange(256), -1).astype(np.int16)
    return LabelCode(table, one_channel=True)


def _label_ids_of_train_ids() -> LabelCode:
    table = np.full(256, -1, np.int16)
    table[: len(LABEL_IDS)] = LABEL_IDS
    table[IGNORE] = 0  # unlabeled
    return LabelCode(table, one_channel=True)


def _instances(target: Path, shape: tuple[int, ...]) -> np.ndarray:
    path = target.with_name(target.name.replace("labelIds", "instanceIds"))
    if not path.is_file():
        raise UserError(f"{path} is missing; --instances needs it beside {target.name}")
    pixels = np.asarray(decode(path, read_bytes(path), upright=False))
    if pixels.shape != shape or not np.issubdtype(pixels.dtype, np.integer):
        raise UserError(
            f"{path} holds {pixels.dtype} of shape {pixels.shape}; --instances needs one channel of"
            f" {shape[1]}×{shape[0]} pixels, as published"
        )
    return pixels


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
