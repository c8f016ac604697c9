"""Boundary IoU: the IoU of those pixels of each mask that lie near its own outline.

Cheng et al., CVPR 2021, arXiv 2103.16562. As in its authors' code, the distance is that of a 3×3
erosion, and the frame of the image is part of the outline.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pspnet.data.datasets.classes import IGNORE

WIDTHS = (0.005, 0.01, 0.02)  # of the band, in diagonals of the image; the paper's are 0.5 and 2 %


def width_in_pixels(width: float, size: tuple[int, int]) -> int:
    """Return the width of a band in pixels, 1 or more, in an image of height and width `size`."""
    return max(1, round(width * float(np.hypot(*size))))


def outline_distance(label: np.ndarray) -> np.ndarray:
    """Return each pixel's distance to the next of another value or beyond the frame, (H, W).

    It is the larger of rows and columns, 1 or more, in float32.

    Args:
        label: (H, W) uint8, below 255 where it matters.
    """
    window = np.ones((3, 3), np.uint8)
    highest = cv2.dilate(label, window, borderType=cv2.BORDER_CONSTANT, borderValue=255)
    inside = (highest == label) & (cv2.erode(label, window) == label)
    return np.asarray(cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_C, 3)) + 1


def boundary_counts(
    prediction: np.ndarray, target: np.ndarray, *, num_classes: int, distances: Sequence[int]
) -> np.ndarray:
    """Return intersection and union of each class's boundary pixels, (distances, 2, C) int64.

    Ignored pixels do not count, and are cut out of the prediction as well, so that both have the
    same outline there.

    Args:
        prediction: class ids, (H, W) uint8.
        target: class ids, (H, W) uint8, 255 where ignored.
        num_classes: C.
        distances: widths of the band in pixels.
    """
    counted = target != IGNORE
    prediction = np.where(counted, prediction, np.uint8(IGNORE))
    far, far_found = (outline_distance(label) for label in (target, prediction))
    near = np.flatnonzero((np.minimum(far, far_found) <= max(distances)) & counted)
    labels, found = target.ravel()[near], prediction.ravel()[near]
    far, far_found = far.ravel()[near], far_found.ravel()[near]
    counts = []
    for distance in distances:
        band, other = far <= distance, far_found <= distance
        ids = (labels[band], found[other], labels[band & other & (labels == found)])
        in_target, in_prediction, both = (np.bincount(it, minlength=num_classes) for it in ids)
        counts.append((both, in_target + in_prediction - both))
    return np.array(counts)
