"""Synthetic images and labels to measure on: patches of all colors and classes, reproducible."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from pspnet.data.datasets.classes import IGNORE

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PATCH = 32  # pixels, approximate side of a patch
Size = tuple[int, int]  # height and width


def random_image(size: Size, *, seed: int) -> np.ndarray:
    """Draw an RGB image (H, W, 3) uint8 of soft patches with a fine grain."""
    generator = np.random.default_rng(seed)
    height, width = size
    patches = generator.integers(256, size=(height // PATCH + 2, width // PATCH + 2, 3))
    soft = cv2.resize(patches.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    grained = soft + generator.normal(scale=6, size=soft.shape)
    return np.asarray(grained.clip(0, 255).astype(np.uint8))


def random_label(size: Size, *, classes: int, seed: int) -> np.ndarray:
    """Draw train ids (H, W) uint8 in patches of every class and of ignored pixels."""
    generator = np.random.default_rng(seed)
    height, width = size
    drawn = generator.integers(classes + 1, size=(height // PATCH + 2, width // PATCH + 2))
    ids = np.where(drawn < classes, drawn, IGNORE).astype(np.uint8)
    return np.asarray(cv2.resize(ids, (width, height), interpolation=cv2.INTER_NEAREST))


def normalized(image: np.ndarray) -> Tensor:
    """Return an RGB image (H, W, 3) uint8 as a normalized batch of one, (1, 3, H, W) float32."""
    pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return ((pixels - mean) / std)[None]
