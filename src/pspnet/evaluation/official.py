"""Benchmarks as their own scorers define them: file names, values, averages."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pspnet.data import ADE20K, VOC, CamVid, Cityscapes
from pspnet.data.datasets.base import Source
from pspnet.data.datasets.classes import IGNORE
from pspnet.evaluation.metrics import Absent
from pspnet.evaluation.summary import Summary

Values = Literal["stored", "train"]
Figures = dict[str, float | None]


def _miou(scores: Summary) -> Figures:
    return {"mIoU": scores["miou"]}


def _class_and_category(scores: Summary) -> Figures:
    return {"class IoU": scores["miou"], "category IoU": scores["category_miou"]}


def _scene_parsing(scores: Summary) -> Figures:
    miou, accuracy = scores["miou"], scores["pixel_accuracy"]
    mean = None if miou is None or accuracy is None else (miou + accuracy) / 2
    return {"mIoU": miou, "pixel accuracy": accuracy, "mean of both": mean}


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark's scorer does in its own way.

    Args:
        source: the data set, for its classes and values; its files are not looked at.
        figures: what the benchmark ranks by, of all scores.
        absent: what a class absent from truth and prediction does to a mean.
        truth: what the names of the ground truth's files end in.
        shared: the part of a file's name without suffix that prediction and truth have in common.
        border: whether 255 is ignored in the ground truth; predictions must not hold it.
    """

    source: Source
    figures: Callable[[Summary], Figures] = _miou
    absent: Absent = "skip"
    truth: str = ".png"
    shared: str = ".+"
    border: bool = False

    def truth_ids(self) -> np.ndarray:
        """Train id of each value of the ground truth, (256,) int16, -1 for what is refused."""
        table = self.source.predicted_ids()
        if self.border:
            table[IGNORE] = IGNORE
        return table

    def predicted_ids(self, values: Values) -> np.ndarray:
        """Train id of each value of a prediction, (256,) int16; 255 names no class.

        Of train ids, 255 is accepted where the scorer knows values of no class at all.
        """
        stored = self.source.predicted_ids()
        if values == "stored":
            return stored
        table = np.full(256, -1, np.int16)
        table[: len(self.source.classes)] = np.arange(len(self.source.classes))
        table[IGNORE] = IGNORE if IGNORE in stored else -1
        return table

    def seem_train_ids(self, matrix: Tensor) -> bool:
        """Whether predictions that were taken for stored values are rather train ids.

        They are if some name no class, and none a class whose stored value is C or more: of
        Cityscapes all lie in 0 to 18, of ADE20K there are zeros and no 150. VOC's and CamVid's are
        the same.

        Args:
            matrix: (C, C+1) counts, of no class in the last column.
        """
        classes = len(self.source.classes)
        named = matrix.any(dim=0)
        beyond = torch.from_numpy(self.source.stored_values() >= classes)
        return bool(named[classes] and not named[:classes][beyond].any())

    def name(self, stem: str) -> str | None:
        """What a file of this stem shares with its partner; None if it can have none."""
        match = re.match(self.shared, stem)
        return match and match[0]


# VOC: VOCevalseg.m of the development kit. Cityscapes: evalPixelLevelSemanticLabeling.py. ADE20K:
# the scene parsing challenge's kit, which divides by the union and a tiny number.
BENCHMARKS = {
    "voc": Benchmark(VOC(), border=True),
    "cityscapes": Benchmark(
        Cityscapes(),
        figures=_class_and_category,
        truth="_gtFine_labelIds.png",
        shared=r"[^_]+_\d+_\d+",
    ),
    "ade20k": Benchmark(ADE20K(), figures=_scene_parsing, absent="zero"),
    "camvid": Benchmark(CamVid(), border=True),
}
