"""The benchmarks' own scoring rules: file names, label values, averages.

Nothing here imports torch, so that the `score` tool refuses wrong options at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pspnet.data import ADE20K, VOC, CamVid, Cityscapes
from pspnet.data.datasets.base import Source
from pspnet.data.datasets.classes import IGNORE

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
        target_suffix: the ending of the ground truth's file names.
        shared_name: pattern of the part of a file name, without its suffix, that a prediction
            shares with its ground truth.
        border: the ground truth holds 255 for pixels that are ignored; predictions must not.
    """

    source: Source
    ranking_scores: Callable[[Summary], RankingScores] = _miou
    absent: Absent = "skip"
    target_suffix: str = ".png"
    shared_name: str = ".+"
    border: bool = False

    def target_ids(self) -> np.ndarray:
        """Train id of each value of the ground truth, (256,) int16, -1 for refused values."""
        table = self.source.predicted_ids()
        if self.border:
            table[IGNORE] = IGNORE
        return table

    def predicted_ids(self, values: Values) -> np.ndarray:
        """Train id of each value of a prediction, (256,) int16: 255 for no class, -1 if refused.

        Among train ids, 255 is accepted where the scorer accepts stored values of no class.
        """
        stored = self.source.predicted_ids()
        if values == "stored":
            return stored
        table = np.full(256, -1, np.int16)
        table[: len(self.source.classes)] = np.arange(len(self.source.classes))
        table[IGNORE] = IGNORE if IGNORE in stored else -1
        return table

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

    def name(self, stem: str) -> str | None:
        """Return the part of a file's stem that it shares with its partner; None without one."""
        match = re.match(self.shared_name, stem)
        return match and match[0]


# VOC: VOCevalseg.m of the development kit. Cityscapes: evalPixelLevelSemanticLabeling.py. ADE20K:
# the scene parsing challenge's kit, which divides by the union and a tiny number.
OFFICIAL_SCORERS = {
    "voc": OfficialScorer(VOC(), border=True),
    "cityscapes": OfficialScorer(
        Cityscapes(),
        ranking_scores=_class_and_category,
        target_suffix="_gtFine_labelIds.png",
        shared_name=r"[^_]+_\d+_\d+",
    ),
    "ade20k": OfficialScorer(ADE20K(), ranking_scores=_scene_parsing, absent="zero"),
    "camvid": OfficialScorer(CamVid(), border=True),
}
