"""The published augmentation: one transform after the other, each on the whole image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from pspnet.data.datasets.classes import IGNORE

if TYPE_CHECKING:
    import albumentations as A

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # no query of the network on import
SCALE, ANGLE = (0.5, 2.0), 10.0
Pair = tuple[np.ndarray, np.ndarray]  # image (H, W, 3) float32, label (H, W) uint8


@dataclass(frozen=True)
class Stepwise:
    """Scale, rotation, blur, horizontal flip, crop and normalization in OpenCV and torch.

    Args:
        crop: side of the crop in pixels.
        mean: mean of R, G and B, 0 to 1.
        std: standard deviation, likewise.

    Source: semseg's util/transform.py and the order in tool/train.py.
    """

    crop: int
    mean: Sequence[float]
    std: Sequence[float]

    def __call__(self, image: np.ndarray, label: np.ndarray, draw: Random) -> tuple[Tensor, Tensor]:
        """Return an image (3, crop, crop) float32 and a label (crop, crop) int64.

        Args:
            image: (H, W, 3) uint8.
            label: (H, W) uint8.
            draw: source of random numbers.
        """
        color = [255 * value for value in self.mean]
        pair = image.astype(np.float32), label  # as semseg's data set hands them over
        pair = _scaled(*pair, draw.uniform(*SCALE))
        if draw.random() < 0.5:
            pair = _rotated(*pair, draw.uniform(-ANGLE, ANGLE), color=color)
        if draw.random() < 0.5:
            pair = cv2.GaussianBlur(pair[0], (5, 5), 0), pair[1]
        if draw.random() < 0.5:
            pair = cv2.flip(pair[0], 1), cv2.flip(pair[1], 1)
        pixels, ids = _cropped(*pair, self.crop, draw=draw, color=color)
        tensor = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
        for channel, center, spread in zip(tensor, color, self.std, strict=True):
            channel.sub_(center).div_(255 * spread)
        return tensor, torch.from_numpy(ids.copy()).long()


def composition(*, crop: int, mean: Sequence[float], std: Sequence[float]) -> A.Compose:
    """Return the same transforms in albumentations, to be called with `image` and `mask`."""
    import albumentations as A

    fill = tuple(round(255 * value) for value in mean)
    border = {"border_mode": cv2.BORDER_CONSTANT, "fill": fill, "fill_mask": IGNORE}
    return A.Compose(
        [
            # counted from 1
            A.RandomScale((SCALE[0] - 1, SCALE[1] - 1), interpolation=cv2.INTER_LINEAR, p=1),
            A.Rotate((-ANGLE, ANGLE), interpolation=cv2.INTER_LINEAR, p=0.5, **border),
            A.Lambda(image=_blurred, name="blur", p=0.5),
            A.HorizontalFlip(p=0.5),
            A.RandomCrop(crop, crop, pad_if_needed=True, pad_position="center", p=1, **border),
            A.Normalize(mean=tuple(mean), std=tuple(std)),
            A.ToTensorV2(),
        ]
    )


def _scaled(image: np.ndarray, label: np.ndarray, factor: float) -> Pair:
    return (
        cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR),
        cv2.resize(label, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST),
    )


def _rotated(image: np.ndarray, label: np.ndarray, angle: float, *, color: Sequence[float]) -> Pair:
    height, width = label.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
    return (
        _warped(image, matrix, flags=cv2.INTER_LINEAR, value=tuple(color)),
        _warped(label, matrix, flags=cv2.INTER_NEAREST, value=IGNORE),
    )


def _warped(
    pixels: np.ndarray, matrix: np.ndarray, *, flags: int, value: float | tuple[float, ...]
) -> np.ndarray:
    size, constant = (pixels.shape[1], pixels.shape[0]), cv2.BORDER_CONSTANT
    return np.asarray(
        cv2.warpAffine(pixels, matrix, size, flags=flags, borderMode=constant, borderValue=value)
    )


def _cropped(
    image: np.ndarray, label: np.ndarray, crop: int, *, draw: Random, color: Sequence[float]
) -> Pair:
    lack = [max(crop - side, 0) for side in label.shape]
    if any(lack):
        top, left = (pixels // 2 for pixels in lack)
        border = (top, lack[0] - top, left, lack[1] - left, cv2.BORDER_CONSTANT)
        image = cv2.copyMakeBorder(image, *border, value=tuple(color))
        label = cv2.copyMakeBorder(label, *border, value=IGNORE)
    top, left = (draw.randint(0, side - crop) for side in label.shape)
    window = np.s_[top : top + crop, left : left + crop]
    return image[window], label[window]


def _blurred(image: np.ndarray, **_: object) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(image, (5, 5), 0))
