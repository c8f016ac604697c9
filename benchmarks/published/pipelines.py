"""Training samples as other code loads them: mmsegmentation's steps, and those of torchvision v2.

Each function takes the paths of an image and a label, and a source of random numbers, and returns
an image (3, crop, crop), bytes or normalized float32, and a label (crop, crop).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from benchmarks.published.augmentation import ANGLE, SCALE
from benchmarks.synthetic import MEAN, STD
from pspnet.data.datasets.classes import IGNORE

Pair = tuple[Tensor, Tensor]


def mmsegmentation(image: Path, label: Path, draw: Random, *, crop: int) -> Pair:
    """Resize, crop with `cat_max_ratio` 0.75, flip, distort; as bytes, BGR, padded at the end.

    The factor is of the image's own size, as in the other pipelines; the published configurations
    first fit images into 2048×512 or the like, which takes longer for small ones.

    Source: mmsegmentation 1.2's `_base_/datasets` and `datasets/transforms/transforms.py`, mmcv
    2's `imrescale`; normalization is the data preprocessor's, on the network's device.
    """
    pixels = cv2.imdecode(np.fromfile(image, np.uint8), cv2.IMREAD_COLOR)
    ids = np.array(Image.open(label))
    assert pixels is not None
    factor = draw.uniform(*SCALE)
    size = [int(side * factor + 0.5) for side in ids.shape[::-1]]
    pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    ids = cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST)
    window = _window(ids, draw, crop=crop)
    for _ in range(10):
        values, counts = np.unique(ids[window], return_counts=True)
        counts = counts[values != IGNORE]
        if len(counts) > 1 and counts.max() / counts.sum() < 0.75:
            break
        window = _window(ids, draw, crop=crop)
    pixels, ids = np.asarray(pixels[window]), ids[window]
    if draw.random() < 0.5:
        pixels, ids = cv2.flip(pixels, 1), cv2.flip(ids, 1)
    pixels = _distorted(pixels, draw)
    lack = [crop - side for side in ids.shape]
    if any(lack):
        border = (0, lack[0], 0, lack[1], cv2.BORDER_CONSTANT)
        pixels = cv2.copyMakeBorder(pixels, *border, value=0)
        ids = cv2.copyMakeBorder(ids, *border, value=IGNORE)
    channels_first = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return torch.from_numpy(channels_first), torch.from_numpy(ids.astype(np.int64))


def _window(ids: np.ndarray, draw: Random, *, crop: int) -> tuple[slice, slice]:
    rows, columns = (draw.randint(0, max(side - crop, 0)) for side in ids.shape)
    return slice(rows, rows + crop), slice(columns, columns + crop)


def _distorted(pixels: np.ndarray, draw: Random) -> np.ndarray:
    """Change brightness, contrast, saturation and hue, each with probability 0.5."""

    def convert(image: np.ndarray, alpha: float = 1, beta: float = 0) -> np.ndarray:
        changed: np.ndarray = np.clip(image.astype(np.float32) * alpha + beta, 0, 255)
        return changed.astype(np.uint8)

    if draw.random() < 0.5:
        pixels = convert(pixels, beta=draw.uniform(-32, 32))
    late = draw.random() < 0.5
    contrast = draw.uniform(0.5, 1.5) if draw.random() < 0.5 else 1.0
    if contrast != 1 and not late:
        pixels = convert(pixels, alpha=contrast)
    if draw.random() < 0.5:
        hsv = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
        hsv[..., 1] = convert(hsv[..., 1], alpha=draw.uniform(0.5, 1.5))
        pixels = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if draw.random() < 0.5:
        hsv = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + draw.randint(-18, 17)) % 180
        pixels = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if contrast != 1 and late:
        pixels = convert(pixels, alpha=contrast)
    return np.asarray(pixels)


def torchvision(image: Path, label: Path, draw: Random, *, crop: int) -> Pair:
    """Apply the published steps in torchvision's transforms, on bytes; normalized at the end."""
    pixels = tv_tensors.Image(Image.open(image).convert("RGB"))
    ids = tv_tensors.Mask(Image.open(label))
    factor = draw.uniform(*SCALE)
    size = [max(1, round(side * factor)) for side in ids.shape[1:]]
    pixels, ids = v2.functional.resize(pixels, size, antialias=False), _nearest(ids, size)
    transform = _after_resize(crop)
    pixels, ids = transform(pixels, ids)
    return pixels, ids[0]


def _nearest(ids: Tensor, size: list[int]) -> Tensor:
    nearest = v2.InterpolationMode.NEAREST
    resized: Tensor = tv_tensors.Mask(v2.functional.resize(ids, size, interpolation=nearest))
    return resized


def _after_resize(crop: int) -> v2.Compose:
    fill = {
        tv_tensors.Image: [round(255 * value) for value in MEAN],
        tv_tensors.Mask: IGNORE,
    }
    bilinear = v2.InterpolationMode.BILINEAR
    rotation = v2.RandomRotation(ANGLE, interpolation=bilinear, fill=fill)
    return v2.Compose(
        [
            v2.RandomApply([rotation], p=0.5),
            v2.RandomApply([v2.GaussianBlur(5, sigma=1.1)], p=0.5),
            v2.RandomHorizontalFlip(0.5),
            v2.RandomCrop(crop, pad_if_needed=True, fill=fill),
            v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


PIPELINES = {"mmsegmentation": mmsegmentation, "torchvision v2": torchvision}


def loader(name: str, *, crop: int) -> partial[Pair]:
    """Return a pipeline of `PIPELINES` for crops of one size."""
    return partial(PIPELINES[name], crop=crop)
