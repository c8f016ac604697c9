"""ADE20K of the MIT scene parsing challenge, 150 classes of things and stuff."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from pspnet.data.datasets.base import Sample, Server, Source, Split
from pspnet.data.datasets.classes import IGNORE, Classes, load_table
from pspnet.data.files import check_samples, find_files, refuse_strays, require
from pspnet.data.label_io import LabelCode, read_label
from pspnet.errors import UserError
from pspnet.files.paths import local_path


class ADE20K(Source):
    """ADE20K, 150 classes; label values 1 to 150 are the train ids 0 to 149, 0 is ignored.

    `root` is this folder, or the one that holds it as `ADEChallengeData2016`:

        root/
            images/{training,validation}/        ADE_train_00000001.jpg
            annotations/{training,validation}/   ADE_train_00000001.png
            images/testing/                      or release_test/testing/, without labels

    Args:
        root: the folder above.
        reduce_zero_label: label files hold 1 to 150, as published; False if they are shifted to 0
            to 149 with 255 ignored, as semseg trains on.
    """

    base_size = 512

    def __init__(self, root: str | Path = "data/ade20k", reduce_zero_label: bool = True) -> None:
        self.root = local_path(root, option="root")
        self.reduce_zero_label = reduce_zero_label

    @cached_property
    def classes(self) -> Classes:
        return load_table("ade20k")

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Return whether the folder of the challenge's labels is there."""
        return (_unpacked(root) / "annotations/training").is_dir()

    @property
    def server(self) -> Server:
        """Gray PNGs of 1 to 150 in the root of a zip archive."""
        return Server()

    def samples(self, split: Split) -> list[Sample]:
        base = _unpacked(self.root)
        folder = {"train": "training", "val": "validation", "test": "testing"}[split]
        images = base / "images" / folder
        if split == "test" and not images.exists():
            # the test images come in a separate archive, unpacked beside the other or into it
            others = [top / "release_test/testing" for top in (base, self.root)]
            images = next((other for other in others if other.exists()), images)
        require(images, f"ADE20K's {folder} images")
        labels = None if split == "test" else base / "annotations" / folder
        if labels is not None:
            require(labels, f"the labels of {images}")
        samples = [
            Sample(image.stem, image, None if labels is None else labels / f"{image.stem}.png")
            for image in find_files(images, ".jpg", depth=0)
        ]
        check_samples(samples, images)
        if labels is not None:
            refuse_strays(find_files(labels, ".png", depth=0), samples)
        return samples

    def train_ids(self) -> np.ndarray:
        return self.predicted_ids() if self.reduce_zero_label else super().train_ids()

    def read_label(self, sample: Sample) -> np.ndarray:
        try:
            return super().read_label(sample)
        except UserError as error:
            assert sample.label is not None
            try:
                read_label(sample.label, LabelCode(super().train_ids()))
            except UserError:
                raise error from None
            raise UserError(
                f"{error}; if labels are shifted to 0 to 149, give"
                " --data.source.reduce_zero_label=false"
            ) from None

    def predicted_ids(self) -> np.ndarray:
        """Return the train ids of 1 to 150; 0 is accepted in predictions too, and is no class."""
        table = np.full(256, -1, np.int16)
        table[0] = IGNORE
        table[1:151] = np.arange(150)
        return table


def _unpacked(root: Path) -> Path:
    below = root / "ADEChallengeData2016"
    return below if below.is_dir() else root
