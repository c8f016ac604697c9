"""Pictures and labels to measure on: patches of all colors and classes, always the same."""

from __future__ import annotations

import cv2
import numpy as np

from pspnet.data.datasets.classes import IGNORE

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PATCH = 32  # pixels; about the side of a patch


def picture(size: tuple[int, int], *, seed: int) -> np.ndarray:
    """RGB, (H, W, 3) uint8: soft patches with a fine grain."""
    generator = np.random.default_rng(seed)
    height, width = size
    coarse = generator.integers(256, size=(height // PATCH + 2, width // PATCH + 2, 3))
    soft = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    grained = soft + generator.normal(scale=6, size=soft.shape)
    return np.asarray(grained.clip(0, 255).astype(np.uint8))


def label(size: tuple[int, int], *, classes: int, seed: int) -> np.ndarray:
    """Train ids, (H, W) uint8: patches of each class, and ignored ones."""
    generator = np.random.default_rng(seed)
    height, width = size
    drawn = generator.integers(classes + 1, size=(height // PATCH + 2, width // PATCH + 2))
    ids = np.where(drawn < classes, drawn, IGNORE).astype(np.uint8)
    large = cv2.resize(ids, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(large)
