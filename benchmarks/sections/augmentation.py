"""Augmentation of one image on one core, against the published order of steps on whole images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from random import Random

import numpy as np
import torch

from benchmarks.compare import Comparison, Variant
from benchmarks.plan import Plan, Size
from benchmarks.published.augmentation import Stepwise, composition
from benchmarks.synthetic import MEAN, STD, random_image, random_label
from benchmarks.timing import Call
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.data.transforms.normalize import normalize
from pspnet.data.transforms.seeding import seed_transform

CLASSES = 19
IMAGES = 16  # per measured call, as scales and angles differ from one to the next


def comparisons(plan: Plan) -> Iterator[Comparison]:
    """Yield the augmentation of one image to a training crop."""
    size, crop = plan.image, plan.crop
    variants = [
        Variant("ours", partial(build_ours, size, crop, normalized=False), remark="uint8"),
        Variant("ours, normalized", partial(build_ours, size, crop, normalized=True)),
        Variant("published order, OpenCV", partial(build_opencv, size, crop)),
        Variant("published order, albumentations", partial(build_albumentations, size, crop)),
    ]
    case = f"{size[1]}×{size[0]} to {crop}×{crop}, one core"
    yield Comparison("augmentation", case, variants, units=IMAGES, threads=1, memory=False)


def build_ours(size: Size, crop: int, *, normalized: bool) -> Call:
    """Return this package's transform.

    Args:
        size: height and width of the image.
        crop: side of the crop.
        normalized: normalizes here too, which trainings leave to the network's device.
    """
    transform = Augmentation().build(crop_size=(crop, crop), mean=MEAN)

    def augment(image: np.ndarray, ids: np.ndarray, index: int) -> None:
        seed_transform(transform, seed=index)
        pair = transform(image=image, mask=ids)
        if normalized:
            pixels = torch.from_numpy(pair["image"]).permute(2, 0, 1)
            normalize(pixels, mean=MEAN, std=STD)

    return _call(augment, size)


def build_opencv(size: Size, crop: int) -> Call:
    """Return semseg's steps in OpenCV and torch."""
    transform, draw = Stepwise(crop, mean=MEAN, std=STD), Random(0)
    return _call(lambda image, ids, _: transform(image, ids, draw), size)


def build_albumentations(size: Size, crop: int) -> Call:
    """Return the same steps in albumentations."""
    transform = composition(crop=crop, mean=MEAN, std=STD)

    def augment(image: np.ndarray, ids: np.ndarray, index: int) -> None:
        seed_transform(transform, seed=index)
        transform(image=image, mask=ids)

    return _call(augment, size)


def _call(augment: Callable[[np.ndarray, np.ndarray, int], object], size: Size) -> Call:
    image, ids = random_image(size, seed=0), random_label(size, classes=CLASSES, seed=0)
    indices = count()

    def call() -> None:
        for _ in range(IMAGES):
            augment(image, ids, next(indices))

    return call
