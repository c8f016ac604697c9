"""ADE20K of the MIT scene parsing challenge, 150 classes of things and stuff."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from pspnet.data.datasets.base import Sample, Server, Source, Split
from pspnet.data.datasets.classes import IGNORE, Classes, load_table
from pspnet.data.files import check_samples, find_files, refuse_strays, require
from pspnet.files.paths import local_path


class ADE20K(Source):
    """ADE20K, 150 classes; label values 1 to 150 are the train ids 0 to 149, 0 is ignored.

    `root` is this folder, or the one that holds it as `ADEChallengeData2016`:

        root/
            images/{training,validation}/        ADE_train_00000001.jpg
            annotations/{training,validation}/   ADE_train_00000001.png
            images/testing/                      or release_test/testing/, without labels
    """

    base_size = 512

    def __init__(self, root: str | Path = "data/ade20k") -> None:
        self.root = local_path(root, option="root")

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
        return self.predicted_ids()

    def predicted_ids(self) -> np.ndarray:
        """Return the train ids of 1 to 150; 0 is accepted in predictions too, and is no class."""
        table = np.full(256, -1, np.int16)
        table[0] = IGNORE
        table[1:151] = np.arange(150)
        return table


def _unpacked(root: Path) -> Path:
    below = root / "ADEChallengeData2016"
    return below if below.is_dir() else root
