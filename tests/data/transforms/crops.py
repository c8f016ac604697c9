"""Random crops and images, shared by the tests of the crop and of its map."""

from __future__ import annotations

from typing import Any

import numpy as np

from pspnet.data.transforms.augmentation import Augmentation
from pspnet.data.transforms.random_affine_crop import RandomAffineCrop
from pspnet.data.transforms.seeding import seed_transform

FILL = (124, 116, 104)
OFF: dict[str, Any] = {
    **{"scale": (1.0, 1.0), "fit": None, "rotation": 0, "rotation_probability": 0.5},
    **{"blur": 0, "mirror": 0, "max_class_share": 1},
}
PUBLISHED = {name: getattr(Augmentation(), name) for name in OFF}
Pair = tuple[np.ndarray, np.ndarray]


def build(*, crop_size: tuple[int, int], **changes: Any) -> RandomAffineCrop:
    return RandomAffineCrop(crop_size, fill=FILL, **{**OFF, **changes})


def run(crop: RandomAffineCrop, image: np.ndarray, mask: np.ndarray, *, seed: int = 0) -> Pair:
    seed_transform(crop, seed=seed)
    out = crop(image=image, mask=mask)
    return out["image"], out["mask"]


def drawn(crop: RandomAffineCrop, *, shape: tuple[int, int], seeds: int) -> list[dict[str, Any]]:
    """Return the draws of the seeds from 0 for an image of a shape."""
    image, mask = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
    draws = []
    for seed in range(seeds):
        run(crop, image, mask, seed=seed)
        draws.append(crop.get_applied_params())
    return draws


def noise(height: int, width: int, *, classes: int = 5) -> Pair:
    generator = np.random.default_rng(height * 1000 + width)
    image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image, generator.integers(0, classes, (height, width), dtype=np.uint8)
