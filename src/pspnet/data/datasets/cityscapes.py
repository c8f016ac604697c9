"""Cityscapes with its fine or coarse annotations, 19 classes of street scenes."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from pspnet.data.datasets.base import Sample, Server, Source, Split
from pspnet.data.datasets.classes import IGNORE, Classes, load_table
from pspnet.data.files import check_samples, find_files, refuse_strays, require
from pspnet.files.paths import local_path

# label ids of the train ids 0 to 18; the data set's definition excludes the others of 0 to 33
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

# the data set's categories; its category `void` has none of these classes
CATEGORIES = {
    "flat": ("road", "sidewalk"),
    "construction": ("building", "wall", "fence"),
    "object": ("pole", "traffic light", "traffic sign"),
    "nature": ("vegetation", "terrain"),
    "sky": ("sky",),
    "human": ("person", "rider"),
    "vehicle": ("car", "truck", "bus", "train", "motorcycle", "bicycle"),
}

# what training uses: folders of images, each with the folder of its labels
TRAINING = {
    "fine": (("train", "gtFine"),),
    "coarse": (("train_extra", "gtCoarse"),),
    "fine+coarse": (("train", "gtFine"), ("train_extra", "gtCoarse")),
}
_IMAGE = "_leftImg8bit.png"


class Cityscapes(Source):
    """Cityscapes, all cities of a split in alphabetical order.

        root/
            leftImg8bit/{train,val,test}/aachen/  aachen_000000_000019_leftImg8bit.png
            gtFine/{train,val}/aachen/            aachen_000000_000019_gtFine_labelIds.png
                                               or aachen_000000_000019_gtFine_labelTrainIds.png

    The labelTrainIds are read if every image of train and val has them, and otherwise the labelIds,
    with which the data set is published; both have the same meaning. The test split has no labels.

    The images of `train_extra`, 19,998 of them, have coarse annotations alone, by which a network
    may be trained with the fine ones or without (README of github.com/mcordts/cityscapesScripts):

        root/
            leftImg8bit/train_extra/augsburg/  augsburg_000000_000000_leftImg8bit.png
            gtCoarse/train_extra/augsburg/     augsburg_000000_000000_gtCoarse_labelIds.png

    Args:
        root: the folder above.
        annotations: what is trained on: the fine annotations of train, the coarse ones of
            train_extra, or both. Validation is always on fine ones.
    """

    base_size = 2048

    def __init__(
        self,
        root: str | Path = "data/cityscapes",
        annotations: Literal["fine", "coarse", "fine+coarse"] = "fine",
    ) -> None:
        self.root = local_path(root, option="root")
        self.annotations = annotations

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Return whether the folder of Cityscapes' images is there."""
        return (root / "leftImg8bit").is_dir()

    @cached_property
    def classes(self) -> Classes:
        return replace(load_table("cityscapes"), categories=CATEGORIES)

    @property
    def server(self) -> Server:
        """The server takes gray PNGs of label ids in any folder, named by `CITY_SEQUENCE_FRAME`."""
        return Server(size=(1024, 2048))

    def samples(self, split: Split) -> list[Sample]:
        return [sample for part in self._parts(split) for sample in self._samples(*part)]

    def _samples(self, part: str, kind: str) -> list[Sample]:
        folder = require(self._folder(part), f"a folder for each city of {part}")
        samples = []
        for image in _images(folder):
            label = None if part == "test" else self._label(image, kind, self._label_kind)
            samples.append(Sample(f"{image.parent.name}/{_frame(image)}", image, label))
        check_samples(samples, folder)
        labels = self.root / kind / part
        if part != "test" and labels.is_dir():
            ending = f"_{kind}_{self._label_kind}.png".lower()
            refuse_strays(find_files(labels, ending, depth=1), samples)
        return samples

    def _parts(self, split: Split) -> tuple[tuple[str, str], ...]:
        return TRAINING[self.annotations] if split == "train" else ((split, "gtFine"),)

    def train_ids(self) -> np.ndarray:
        if self._label_kind == "labelTrainIds":
            return super().train_ids()
        return self.predicted_ids()

    def predicted_ids(self) -> np.ndarray:
        """Return the train ids of the label ids; others up to 33 are accepted and name no class."""
        table = np.full(256, -1, np.int16)
        table[:34] = IGNORE
        table[list(LABEL_IDS)] = np.arange(len(LABEL_IDS))
        return table

    @cached_property
    def _label_kind(self) -> Literal["labelIds", "labelTrainIds"]:
        # one kind for train and val together, since a source has one table of train ids
        labels = [
            self._label(image, kind, "labelTrainIds")
            for part, kind in (*self._parts("train"), *self._parts("val"))
            if self._folder(part).exists()
            for image in _images(self._folder(part))
        ]
        return "labelTrainIds" if labels and all(it.exists() for it in labels) else "labelIds"

    def _folder(self, part: str) -> Path:
        return self.root / "leftImg8bit" / part

    def _label(self, image: Path, kind: str, values: str) -> Path:
        folder = self.root / kind / image.parent.parent.name / image.parent.name
        return folder / f"{_frame(image)}_{kind}_{values}.png"


def _images(folder: Path) -> list[Path]:
    return [path for path in find_files(folder, ".png", depth=1) if path.name.endswith(_IMAGE)]


def _frame(image: Path) -> str:
    """Return `CITY_SEQUENCE_FRAME`, the part of the name that image and label share."""
    return image.name.removesuffix(_IMAGE)
