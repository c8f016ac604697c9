"""Augmentation of one image on one core, against the published order of steps on whole images."""

from __future__ import annotations

from functools import partial
from itertools import count
from random import Random

import numpy as np
import torch

from benchmarks.machine import pinned
from benchmarks.measure import Bench, Row, Side, compare
from benchmarks.networks import OURS, PUBLISHED
from benchmarks.pictures import MEAN, STD, label, picture
from benchmarks.stepwise import Stepwise, composition
from benchmarks.timing import Call
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.data.transforms.normalize import normalize
from pspnet.data.transforms.seeding import seed_transform

SECTION = "augmentation"
CLASSES = 19
IMAGES = 16  # of a measured call, as sizes and angles differ from one to the next
Size = tuple[int, int]  # height and width


def measure(bench: Bench, *, size: Size, crop: int) -> list[Row]:
    """Rows of an image of this size, cut to crop × crop."""
    sides = [
        Side(OURS, partial(build_ours, size, crop, normalized=False), remark="uint8"),
        Side(f"{OURS}, normalized", partial(build_ours, size, crop, normalized=True)),
        Side(f"{PUBLISHED} order, OpenCV", partial(build_published, size, crop)),
        Side(f"{PUBLISHED} order, albumentations", partial(build_composition, size, crop)),
    ]
    title = f"{size[1]}×{size[0]} to {crop}×{crop}, one core"
    with pinned(1):
        return compare(bench, sides, section=SECTION, case=title, units=IMAGES, sized=False)


def build_ours(size: Size, crop: int, *, normalized: bool) -> Call:
    """This package's transform; `normalized` does here what else the network's device does."""
    transform = Augmentation().build(crop_size=(crop, crop), mean=MEAN)
    image, ids = _pair(size)
    seeds = count()

    def images() -> None:
        for _ in range(IMAGES):
            seed_transform(transform, seed=next(seeds))
            pair = transform(image=image, mask=ids)
            if normalized:
                pixels = torch.from_numpy(pair["image"]).permute(2, 0, 1)
                normalize(pixels, mean=MEAN, std=STD)

    return images


def build_published(size: Size, crop: int) -> Call:
    """semseg's steps in OpenCV and torch."""
    transform = Stepwise(crop, mean=MEAN, std=STD)
    image, ids = _pair(size)
    draw = Random(0)

    def images() -> None:
        for _ in range(IMAGES):
            transform(image, ids, draw)

    return images


def build_composition(size: Size, crop: int) -> Call:
    """The same steps in albumentations."""
    transform = composition(crop=crop, mean=MEAN, std=STD)
    image, ids = _pair(size)
    seeds = count()

    def images() -> None:
        for _ in range(IMAGES):
            seed_transform(transform, seed=next(seeds))
            transform(image=image, mask=ids)

    return images


def _pair(size: Size) -> tuple[np.ndarray, np.ndarray]:
    return picture(size, seed=0), label(size, classes=CLASSES, seed=0)
