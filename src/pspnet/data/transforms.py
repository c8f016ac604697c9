"""Augmentation as published, and the normalisation that training and evaluation share."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pspnet.data.classes import IGNORE

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
            `pspnet.data.steps.PhotometricDistortion`; 0 is off, 1 is mmsegmentation's.
        max_class_share: the share of a crop's labelled pixels that one class may not reach; another
            crop is drawn up to ten times, see `pspnet.data.steps.MixedCrop`; 1 takes every crop.

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

    def __post_init__(self) -> None:
        least, greatest = self.scale
        if not 0 < least <= greatest:
            raise ValueError(f"scale={self.scale}: give two factors, 0 < least <= greatest")
        if self.fit is not None and not 1 <= self.fit[1] <= self.fit[0]:
            raise ValueError(f"fit={self.fit}: give long and short side in pixels, long first")
        if not 0 <= self.rotation <= 180:
            raise ValueError(f"rotation={self.rotation}: give degrees from 0 (off) to 180")
        for name in ("rotation_probability", "blur", "mirror", "photometric"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)}: give a probability from 0 to 1")
        if not 0 < self.max_class_share <= 1:
            raise ValueError(
                f"max_class_share={self.max_class_share}: give a share above 0 and up to 1 (off)"
            )


def train_transform(
    augmentation: Augmentation,
    *,
    crop_size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
) -> A.Compose:
    """Random resize, rotation, blur, mirror and crop, then normalisation, in the published order.

    Photometric distortion comes between the crop and its padding. The pipeline is called with
    `image`, (H, W, 3) uint8, and `mask`, (H, W) uint8, and gives tensors: `image`, (3, *crop_size)
    float32, and `mask`, (*crop_size) uint8. What rotation uncovers, and what an image lacks of the
    crop (equally on both sides), is the mean colour, 255 in the mask.
    """
    import albumentations as A

    angle = augmentation.rotation
    fill = tuple(round(255 * value) for value in mean)
    return A.Compose(
        [
            _resize(augmentation),
            A.Rotate(
                limit=(-angle, angle),
                interpolation=cv2.INTER_LINEAR,
                border_mode=cv2.BORDER_CONSTANT,
                fill=fill,
                fill_mask=IGNORE,
                p=augmentation.rotation_probability if angle else 0,
            ),
            # A.GaussianBlur has no sigma that gives the kernel 1 4 6 4 1 of OpenCV
            A.Lambda(image=_gaussian_blur, name="gaussian_blur", p=augmentation.blur),
            A.HorizontalFlip(p=augmentation.mirror),
            *_crop(augmentation, crop_size=crop_size, fill=fill),
            *_to_network(mean, std=std),
        ]
    )


def eval_transform(*, mean: Sequence[float], std: Sequence[float]) -> A.Compose:
    """Normalisation alone: `image`, (H, W, 3) uint8, becomes a tensor, (3, H, W) float32."""
    import albumentations as A

    return A.Compose(_to_network(mean, std=std))


def seed_transform(transform: A.Compose, *, seed: int) -> None:
    """Makes the next call of a transform, and of all transforms in it, depend on the seed alone.

    `Compose.set_random_seed` is not enough: it gives each transform generators of its own with one
    and the same seed, so that their first draws agree, and the images that are rotated would be
    just those that are blurred and mirrored. Here they share the generators.
    """
    transform.set_random_state(np.random.default_rng(seed), random.Random(seed))


def _resize(augmentation: Augmentation) -> A.BasicTransform:
    import albumentations as A

    from pspnet.data.steps import FitResize

    low, high = augmentation.scale
    if augmentation.fit is not None:
        return FitResize(augmentation.fit, scale=(low, high))
    # scale_limit is counted from 1
    return A.RandomScale(scale_limit=(low - 1, high - 1), interpolation=cv2.INTER_LINEAR, p=1)


def _crop(
    augmentation: Augmentation, *, crop_size: tuple[int, int], fill: tuple[int, ...]
) -> list[A.BasicTransform]:
    import albumentations as A

    from pspnet.data.steps import MixedCrop, PhotometricDistortion

    height, width = crop_size
    if augmentation.photometric == 0 and augmentation.max_class_share == 1:
        crop = A.RandomCrop(
            height=height,
            width=width,
            pad_if_needed=True,
            pad_position="center",
            border_mode=cv2.BORDER_CONSTANT,
            fill=fill,
            fill_mask=IGNORE,
            p=1,
        )
        return [crop]
    padding = A.PadIfNeeded(
        min_height=height,
        min_width=width,
        position="center",
        border_mode=cv2.BORDER_CONSTANT,
        fill=fill,
        fill_mask=IGNORE,
        p=1,
    )
    return [
        MixedCrop(crop_size, max_class_share=augmentation.max_class_share),
        PhotometricDistortion(p=augmentation.photometric),  # before there is padding to distort
        padding,
    ]


def _to_network(mean: Sequence[float], *, std: Sequence[float]) -> list[A.BasicTransform]:
    import albumentations as A

    return [A.Normalize(mean=tuple(mean), std=tuple(std)), A.ToTensorV2()]


def _gaussian_blur(image: np.ndarray, **_: object) -> np.ndarray:
    # albumentations hands every function the shape of the image as well
    blurred: np.ndarray = cv2.GaussianBlur(image, (5, 5), 0)
    return blurred
