"""Label errors made on purpose: the kinds that are found in real annotations, seeded."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from pspnet.data.datasets.classes import IGNORE

KINDS = ("swap", "shift", "drop")  # those of Lad and Mueller, arXiv 2307.05080
SMALLEST, LARGEST = 0.005, 0.3  # share of the image that a region to corrupt has
SHIFT = (0.02, 0.05)  # of the diagonal


def corrupt(
    label: np.ndarray, kind: str, *, num_classes: int, generator: np.random.Generator
) -> np.ndarray | None:
    """Return a label with one error, None if the label has no region for it.

    Args:
        label: train ids, (H, W) uint8, 255 where ignored.
        kind: "swap" gives a region another class at random, "drop" the class that surrounds most
            of it, as if an object had been overlooked; "shift" moves the entire label by 2 to 5 %
            of the diagonal, and what it uncovers is ignored.
        num_classes: C.
        generator: of the random choices.
    """
    if kind == "shift":
        return _shifted(label, generator)
    found = [*regions(label)]
    for index in generator.permutation(len(found)):
        region = found[index]
        own = int(label[region][0])
        around = _surrounding(label, region)
        others = [it for it in range(num_classes) if it != own]
        new = around if kind == "drop" else int(generator.choice(others))
        if new is not None:
            wrong = label.copy()
            wrong[region] = new
            return wrong
    return None


def regions(label: np.ndarray) -> Iterator[np.ndarray]:
    """Yield masks (H, W) of the connected regions that are neither tiny nor the background."""
    low, high = (share * label.size for share in (SMALLEST, LARGEST))
    for value in np.setdiff1d(np.unique(label), IGNORE):
        mask = (label == value).astype(np.uint8)
        count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        for number in range(1, count):
            if low <= stats[number, cv2.CC_STAT_AREA] <= high:
                yield numbers == number


def _surrounding(label: np.ndarray, region: np.ndarray) -> int | None:
    """Return the most frequent class at the border of a region, None if all of it is ignored."""
    grown = cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    ring = label[grown & ~region]
    counts = np.bincount(ring[ring != IGNORE], minlength=1)
    return int(counts.argmax()) if counts.any() else None


def _shifted(label: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    height, width = label.shape
    length = generator.uniform(*SHIFT) * float(np.hypot(height, width))
    angle = generator.uniform(0, 2 * np.pi)
    down, right = round(length * np.sin(angle)), round(length * np.cos(angle))
    moved = np.full_like(label, IGNORE)
    moved[max(down, 0) : height + down, max(right, 0) : width + right] = label[
        max(-down, 0) : height - down, max(-right, 0) : width - right
    ]
    return moved
