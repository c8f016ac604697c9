"""Samples and their check against a cache, shared by the tests of the cache."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
from PIL import Image

from pspnet.data.cache import Cache
from pspnet.data.datasets.base import Sample
from pspnet.data.image_io import read_image
from pspnet.data.label_io import LabelCode, read_label

TRAIN_IDS = np.full(256, -1, np.int16)
TRAIN_IDS[[7, 8, 9, 255]] = [0, 1, 2, 255]
CODE = LabelCode(TRAIN_IDS)
FORK = multiprocessing.get_context("fork")


def write_sample(folder: Path, name: str, *, seed: int = 0, size: tuple[int, int] = (33, 50)):
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    image, label = folder / f"{name}.png", folder / f"{name}_label.png"
    Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(image)
    Image.fromarray(random.choice(np.array([7, 8, 9, 255], np.uint8), size)).save(label)
    return Sample(name, image, label)


def read(sample: Sample) -> np.ndarray:
    assert sample.label is not None
    return read_label(sample.label, CODE)


def files(cache: Cache) -> list[Path]:
    return sorted(cache.folder.iterdir())


def check(cache: Cache, sample: Sample) -> None:
    """Check that a cache returns, twice, the content of the files."""
    assert sample.label is not None
    for _ in range(2):
        np.testing.assert_array_equal(cache.image(sample.image), read_image(sample.image))
        np.testing.assert_array_equal(cache.label(sample, read), read(sample))
