"""Boundary IoU: the IoU of those pixels of each mask that lie near its own outline.

Cheng et al., CVPR 2021, arXiv 2103.16562. As in its authors' code, the distance is that of a 3×3
erosion, and the frame of the image is part of the outline.
"""

from __future__ import annotations

import cv2
import numpy as np

from pspnet.data.datasets.classes import IGNORE

WIDTHS = (0.005, 0.01, 0.02)  # of the band, in diagonals of the image; the paper's are 0.5 and 2 %


def width_in_pixels(width: float, size: tuple[int, int]) -> int:
    """Return the width of a band in pixels, 1 or more, in an image of height and width `size`."""
    return max(1, round(width * float(np.hypot(*size))))


def near_outline(label: np.ndarray, distance: int) -> np.ndarray:
    """Return the pixels with another value, or the frame, within `distance`, (H, W) bool.

    Args:
        label: (H, W) uint8, below 255 where it matters.
        distance: in pixels, the larger of rows and columns.
    """
    window = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    highest = cv2.dilate(label, window, borderType=cv2.BORDER_CONSTANT, borderValue=255)
    near: np.ndarray = (highest != label) | (cv2.erode(label, window) != label)
    return near


def boundary_counts(
    prediction: np.ndarray, target: np.ndarray, *, num_classes: int, distance: int
) -> np.ndarray:
    """Return intersection and union of each class's boundary pixels, (2, C) int64.

    Ignored pixels do not count, and are cut out of the prediction as well, so that both have the
    same outline there.

    Args:
        prediction: class ids, (H, W) uint8.
        target: class ids, (H, W) uint8, 255 where ignored.
        num_classes: C.
        distance: width of the band in pixels.
    """
    counted = target != IGNORE
    prediction = np.where(counted, prediction, np.uint8(IGNORE))
    bands = [near_outline(label, distance) & counted for label in (target, prediction)]
    ids = [label[band] for label, band in zip((target, prediction), bands, strict=True)]
    in_target, in_prediction = (np.bincount(it, minlength=num_classes) for it in ids)
    shared = target[bands[0] & bands[1] & (target == prediction)]
    both = np.bincount(shared, minlength=num_classes)
    return np.stack([both, in_target + in_prediction - both])
