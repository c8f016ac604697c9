"""Cityscapes with its fine annotations, 19 classes of street scenes."""

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

_IMAGE = "_leftImg8bit.png"


class Cityscapes(Source):
    """Cityscapes with fine annotations, all cities of a split in alphabetical order.

        root/
            leftImg8bit/{train,val,test}/aachen/  aachen_000000_000019_leftImg8bit.png
            gtFine/{train,val}/aachen/            aachen_000000_000019_gtFine_labelIds.png
                                               or aachen_000000_000019_gtFine_labelTrainIds.png

    The labelTrainIds are read if every image of train and val has them, and otherwise the labelIds,
    with which the data set is published; both have the same meaning. The test split has no labels.
    """

    base_size = 2048

    def __init__(self, root: str | Path = "data/cityscapes") -> None:
        self.root = local_path(root, option="root")

    @cached_property
    def classes(self) -> Classes:
        return replace(load_table("cityscapes"), categories=CATEGORIES)

    @property
    def server(self) -> Server:
        """The server takes gray PNGs of label ids in any folder, named by `CITY_SEQUENCE_FRAME`."""
        return Server(size=(1024, 2048))

    def samples(self, split: Split) -> list[Sample]:
        folder = require(self._folder(split), f"a folder for each city of {split}")
        samples = []
        for image in _images(folder):
            label = None if split == "test" else self._label(image, self._label_kind)
            samples.append(Sample(f"{image.parent.name}/{_frame(image)}", image, label))
        check_samples(samples, folder)
        labels = self.root / "gtFine" / split
        if split != "test" and labels.is_dir():
            ending = f"_gtfine_{self._label_kind}.png".lower()
            refuse_strays(find_files(labels, ending, depth=1), samples)
        return samples

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
        folders = [self._folder(split) for split in ("train", "val")]
        images = [image for folder in folders if folder.exists() for image in _images(folder)]
        complete = all(self._label(image, "labelTrainIds").exists() for image in images)
        return "labelTrainIds" if images and complete else "labelIds"

    def _folder(self, split: str) -> Path:
        return self.root / "leftImg8bit" / split

    def _label(self, image: Path, kind: str) -> Path:
        folder = self.root / "gtFine" / image.parent.parent.name / image.parent.name
        return folder / f"{_frame(image)}_gtFine_{kind}.png"


def _images(folder: Path) -> list[Path]:
    return [path for path in find_files(folder, ".png", depth=1) if path.name.endswith(_IMAGE)]


def _frame(image: Path) -> str:
    """Return `CITY_SEQUENCE_FRAME`, the part of the name that image and label share."""
    return image.name.removesuffix(_IMAGE)
