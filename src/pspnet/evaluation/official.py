"""Scoring rules of benchmarks and of one's own classes: file names, label values, averages.

Nothing here imports torch, so that the `score` tool refuses wrong options at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from pspnet.data import ADE20K, VOC, CamVid, Cityscapes
from pspnet.data.datasets.base import Source
from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.data.datasets.folder import Folder
from pspnet.data.datasets.own_data.class_files import READERS
from pspnet.data.datasets.own_data.classes_yaml import read_classes
from pspnet.data.files import IMAGE_SUFFIXES, read_list, read_stems
from pspnet.data.label_io import LABEL_SUFFIXES, LabelCode

if TYPE_CHECKING:
    from torch import Tensor

    from pspnet.evaluation.metrics import Absent
    from pspnet.evaluation.summary import Summary

Values = Literal["stored", "train"]
RankingScores = dict[str, float | None]


def _miou(scores: Summary) -> RankingScores:
    return {"mIoU": scores["miou"]}


def _class_and_category(scores: Summary) -> RankingScores:
    return {"class IoU": scores["miou"], "category IoU": scores["category_miou"]}


def _scene_parsing(scores: Summary) -> RankingScores:
    miou, accuracy = scores["miou"], scores["pixel_accuracy"]
    mean = None if miou is None or accuracy is None else (miou + accuracy) / 2
    return {"mIoU": miou, "pixel accuracy": accuracy, "mean of both": mean}


@dataclass(frozen=True)
class OfficialScorer:
    """The rules of a benchmark's own scorer.

    Args:
        source: the data set, for its classes and label values; its files are not read.
        ranking_scores: picks the scores that the benchmark ranks by.
        absent: rule for absent classes in means, see `SegmentationMetrics`.
        target_suffixes: the endings of the ground truth's file names, in any case.
        prediction_suffixes: those of predictions.
        shared_name: pattern of the part of a file name, without its suffix, that a prediction
            shares with its ground truth.
        border: the ground truth holds 255 for pixels that are ignored; predictions must not.
    """

    source: Source
    ranking_scores: Callable[[Summary], RankingScores] = _miou
    absent: Absent = "skip"
    target_suffixes: tuple[str, ...] = (".png",)
    prediction_suffixes: tuple[str, ...] = (".png",)
    shared_name: str = ".+"
    border: bool = False

    def target_code(self) -> LabelCode:
        """The meaning of pixels in the ground truth."""
        table = self.source.predicted_ids()
        if self.border:
            table[IGNORE] = IGNORE
        return LabelCode(table, one_channel=True)

    def predicted_code(self, values: Values) -> LabelCode:
        """The meaning of pixels in a prediction, 255 for no class.

        Among train ids, 255 is accepted where the scorer accepts stored values of no class.
        """
        stored = self.source.predicted_ids()
        if values == "stored":
            return LabelCode(stored, one_channel=True)
        table = _train_ids(self.source.classes)
        table[IGNORE] = IGNORE if IGNORE in stored else -1
        return LabelCode(table, one_channel=True)

    def look_like_train_ids(self, matrix: Tensor) -> bool:
        """Tell whether predictions read as stored values are probably train ids.

        They are if some pixels have no class, and none has a class with a stored value of C or
        more: in Cityscapes all values lie in 0 to 18; in ADE20K there are zeros and no 150. In VOC
        and CamVid both kinds of values are the same.

        Args:
            matrix: (C, C+1) counts, with the pixels predicted as no class in the last column.
        """
        classes = len(self.source.classes)
        *named, no_class = matrix.any(dim=0).tolist()
        beyond = self.source.stored_values() >= classes
        return bool(no_class and not np.array(named)[beyond].any())

    def name(self, path: Path) -> str | None:
        """Return the part of a file's name that it shares with its partner; None without one.

        Args:
            path: the file, relative to its folder.
        """
        match = re.match(self.shared_name, path.stem)
        return match and match[0]

    def read_names(self, listing: Path) -> list[str]:
        """Read the names of a list, with or without an image's suffix."""
        stems = map(_without_suffix, read_stems(listing))
        return [self.name(Path(f"{stem}.png")) or stem for stem in stems]


class OwnClasses(Folder):
    """The classes of a class file, by whatever name; it lists no samples."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.parent)
        self.path = path

    @cached_property
    def _described(self) -> tuple[Classes, LabelCode]:
        return READERS.get(self.path.name, read_classes)(self.path)


@dataclass(frozen=True)
class OwnScorer(OfficialScorer):
    """The rules for classes of one's own: files are read as the masks of a `Folder` are.

    A prediction belongs to the ground truth at the same path. Where it is ignored by those rules it
    names no class, and is wrong where the ground truth names one.
    """

    target_suffixes: tuple[str, ...] = LABEL_SUFFIXES
    prediction_suffixes: tuple[str, ...] = LABEL_SUFFIXES

    def target_code(self) -> LabelCode:
        return self.source.label_code

    def predicted_code(self, values: Values) -> LabelCode:
        if values == "stored":
            return self.source.label_code
        table = _train_ids(self.source.classes)
        table[IGNORE] = IGNORE
        return LabelCode(table)

    def look_like_train_ids(self, matrix: Tensor) -> bool:
        return False

    def name(self, path: Path) -> str:
        return path.with_suffix("").as_posix()

    def read_names(self, listing: Path) -> list[str]:
        return [_without_suffix(line) for line in read_list(listing)]


def _train_ids(classes: Classes) -> np.ndarray:
    table = np.full(256, -1, np.int16)
    table[: len(classes)] = np.arange(len(classes))
    return table


def _without_suffix(name: str) -> str:
    return name.rpartition(".")[0] if name.lower().endswith(IMAGE_SUFFIXES) else name


# VOC: VOCevalseg.m of the development kit. Cityscapes: evalPixelLevelSemanticLabeling.py. ADE20K:
# the scene parsing challenge's kit, which divides by the union and a tiny number.
OFFICIAL_SCORERS = {
    "voc": OfficialScorer(VOC(), border=True),
    "cityscapes": OfficialScorer(
        Cityscapes(),
        ranking_scores=_class_and_category,
        target_suffixes=("_gtFine_labelIds.png",),
        shared_name=r"[^_]+_\d+_\d+",
    ),
    "ade20k": OfficialScorer(ADE20K(), ranking_scores=_scene_parsing, absent="zero"),
    "camvid": OfficialScorer(CamVid(), border=True),
}
