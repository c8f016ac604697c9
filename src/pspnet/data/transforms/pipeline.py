"""Augmentation as published, and the normalization that all images share."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pspnet.errors import UserError

if TYPE_CHECKING:
    import albumentations as A

# albumentations asks the network for a newer release when it is imported
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


@dataclass(frozen=True)
class Augmentation:
    """How training images vary: paper section 5.1, with the probabilities of the author's code.

    `fit`, `photometric` and `max_class_share` are mmsegmentation's, and off by default.

    Args:
        scale: least and greatest factor of the random resize, drawn uniformly; (1, 1) is off.
        fit: long and short side in pixels, upright or not, that an image is fitted into, and that
            the random factor multiplies, in one resize; None leaves the factor to the image's size.
        rotation: the greatest angle in degrees, to either side, 0 to 180; 0 is off.
        rotation_probability: share of the images that are rotated.
        blur: share of the images that a Gaussian of 5×5 pixels smooths; 0 is off.
        mirror: share of the images that are mirrored left to right; 0 is off.
        photometric: share of the images of which brightness, contrast, saturation and hue vary, see
            `transforms.photometric.PhotometricDistortion`; 0 is off, 1 is mmsegmentation's.
        max_class_share: the share of a crop's labeled pixels that one class may not reach; another
            crop is drawn up to ten times, see `transforms.random_affine_crop.Warp`; 1 takes every
            crop.
        more: a file of further steps for the crops, see `transforms.extra.load_steps`; None adds
            none.

    Raises:
        ValueError: if a value is outside of its range.
    """

    scale: tuple[float, float] = (0.5, 2.0)
    fit: tuple[int, int] | None = None
    rotation: float = 10.0
    rotation_probability: float = 0.5
    blur: float = 0.5
    mirror: float = 0.5
    photometric: float = 0.0
    max_class_share: float = 1.0
    more: str | Path | None = None

    def __post_init__(self) -> None:
        least, greatest = self.scale
        if not 0 < least <= greatest:
            raise UserError(f"scale={self.scale}: give two factors, 0 < least <= greatest")
        if self.fit is not None and not 1 <= self.fit[1] <= self.fit[0]:
            raise UserError(f"fit={self.fit}: give long and short side in pixels, long first")
        if not 0 <= self.rotation <= 180:
            raise UserError(f"rotation={self.rotation}: give degrees from 0 (off) to 180")
        for name in ("rotation_probability", "blur", "mirror", "photometric"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name}={getattr(self, name)}: give a probability from 0 to 1")
        if not 0 < self.max_class_share <= 1:
            raise UserError(
                f"max_class_share={self.max_class_share}: give a share above 0 and up to 1 (off)"
            )


def train_transform(
    augmentation: Augmentation,
    *,
    crop_size: tuple[int, int],
    mean: Sequence[float],
    more: Sequence[A.BasicTransform | A.BaseCompose] = (),
) -> A.Compose:
    """Random resize, rotation, blur, mirror and crop, in the published order.

    Called with `image`, (H, W, 3) uint8, and `mask`, (H, W) uint8, it gives both in the size of the
    crop. What rotation uncovers, and what an image lacks of the crop (equally on both sides), is
    the mean color, 255 in the mask.

    Args:
        augmentation: how images vary.
        crop_size: height and width in pixels.
        mean: of R, G and B, 0 to 1.
        more: further steps, after those that `augmentation.more` names. Both see the crop, before
            its colors are distorted, and without padding.

    Raises:
        FileNotFoundError: if there is no such file as `augmentation.more`.
        ValueError: if it has no steps, or a step cannot follow the crop.
    """
    import albumentations as A

    from pspnet.data.transforms.extra import check_steps, load_steps
    from pspnet.data.transforms.photometric import CentralPadding, PhotometricDistortion
    from pspnet.data.transforms.random_affine_crop import Warp

    fill = (round(255 * mean[0]), round(255 * mean[1]), round(255 * mean[2]))
    loaded = [] if augmentation.more is None else [load_steps(Path(augmentation.more))]
    further = [*loaded, *more]
    check_steps(further, size=crop_size)
    return A.Compose(
        [
            Warp(augmentation, crop_size=crop_size, fill=fill),
            *further,
            PhotometricDistortion(p=augmentation.photometric),
            CentralPadding(crop_size, fill=fill),  # last, as padding is not to be changed
        ]
    )


def seed_transform(transform: A.Compose, *, seed: int) -> None:
    """Makes the next call of a transform, and of all transforms in it, depend on the seed alone.

    `Compose.set_random_seed` is not enough: it gives each transform generators of its own with one
    and the same seed, so that their first draws agree, and the images that are rotated would be
    just those that are blurred and mirrored. Here they share the generators.
    """
    transform.set_random_state(np.random.default_rng(seed), random.Random(seed))


def normalize(image: Tensor, *, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """What the network takes of images (…, 3, H, W) uint8: float32, by mean and std of 0 to 1.

    It stays on its device and in its memory format.
    """
    middle, unit = _levels(tuple(mean), tuple(std), image.device)
    return (image - middle).div_(unit)


@lru_cache(maxsize=16)  # else each batch would wait for two copies to its device
def _levels(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    levels = 255 * torch.tensor([mean, std], dtype=torch.float32, device=device)
    return levels[0, :, None, None], levels[1, :, None, None]
