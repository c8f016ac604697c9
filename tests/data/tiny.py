"""A tiny data set and its batches, shared by the tests of the data module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.base import Sample, Source, Split
from pspnet.data.datasets.classes import Classes
from pspnet.errors import UserError

LENGTHS: dict[Split, int] = {"train": 7, "val": 5, "test": 3}


class TinySource(Source):
    """Random images of several sizes under `root/split`, written by `prepare`."""

    def __init__(self, root: str, test_labels: int = 0, one_size: bool = False) -> None:
        self.root = Path(root)
        self.test_labels = test_labels  # how many images of the test split have one
        self.one_size = one_size

    @property
    def classes(self) -> Classes:
        return Classes(names=("wall", "sky"), colors=((0, 0, 0), (9, 9, 9)))

    def prepare(self) -> None:
        random = np.random.default_rng(0)
        for split, length in LENGTHS.items():
            (self.root / split).mkdir(parents=True, exist_ok=True)
            for number in range(length):
                shape = (20, 30) if self.one_size else (14 + 3 * number, 30 - number)
                pixels = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(self.root / split / f"{number}.png")
                label = random.choice(np.array([0, 1, 255], np.uint8), shape)
                Image.fromarray(label).save(self.root / split / f"{number}.label.png")

    def samples(self, split: Split) -> list[Sample]:
        if not (self.root / split).is_dir():
            raise UserError(f"{self.root / split} is missing")
        labeled = self.test_labels if split == "test" else LENGTHS[split]
        return [
            Sample(
                f"{split}{number}",
                self.root / split / f"{number}.png",
                self.root / split / f"{number}.label.png" if number < labeled else None,
            )
            for number in range(LENGTHS[split])
        ]


def build(source: Source, **values: Any) -> SegmentationData:
    return SegmentationData(source, **{"crop_size": 16, "batch_size": 3, "workers": 0, **values})


def two_epochs(data: SegmentationData) -> list[dict[str, Any]]:
    data.setup("fit")
    loader = data.train_dataloader()
    batches = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        batches += list(loader)
    return batches
