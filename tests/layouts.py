"""Tiny valid layouts of the data sets on disk, for their tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pspnet.data.datasets.base import Source, Split
from pspnet.data.image_io import read_label


def put_image(path: Path, *, size: tuple[int, int] = (4, 6)) -> Path:
    """Write a gray-blue image of (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), (90, 100, 120), np.uint8)).save(path)
    return path


def put_label(path: Path, values: object = 0, *, size: tuple[int, int] = (4, 6)) -> Path:
    """Write a gray PNG of `values`, repeated over (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.resize(np.asarray(values, np.uint8), size)).save(path)
    return path


def put_text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def make_voc(base: Path, **lists: list[str]) -> Path:
    """Write VOC2012 with the images and labels of the given lists."""
    for name, stems in lists.items():
        put_text(base / f"ImageSets/Segmentation/{name}.txt", *stems)
        for stem in stems:
            put_image(base / f"JPEGImages/{stem}.jpg")
            if name != "test":
                put_label(base / f"SegmentationClass/{stem}.png", [0, 20, 255])
    return base


def labels(source: Source, split: Split) -> list[list[int]]:
    """Return the train ids in each label of the split."""
    table = source.train_ids()
    paths = [sample.label for sample in source.samples(split)]
    return [np.unique(read_label(path, table)).tolist() for path in paths if path is not None]
