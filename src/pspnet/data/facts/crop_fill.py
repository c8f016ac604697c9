"""The share of a training crop that an image fills; the rest is padding, which is ignored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pspnet.data.datasets.base import Sample
from pspnet.data.image_io import image_size
from pspnet.data.transforms.augmentation import Augmentation, AugmentationBase
from pspnet.errors import UserError

MOST = 64  # images whose sizes are read before a training
HALF = 0.5

Size = tuple[int, int]


def low_fill(
    augmentation: AugmentationBase, sizes: Sequence[Size], crop_size: Size
) -> float | None:
    """Return the median share of a crop that images fill, if it is below half.

    The images have the size to which the augmentation's random factor is applied. A factor of 0.5
    fills a quarter of that.

    Args:
        augmentation: of the training; None is returned for one that is not the package's.
        sizes: (H, W) of the images; None is returned without any.
        crop_size: (H, W) of a crop.
    """
    if not isinstance(augmentation, Augmentation) or not sizes:
        return None
    fitted = [_fitted(size, augmentation.fit) for size in sizes]
    filled = [min(height, crop_size[0]) * min(width, crop_size[1]) for height, width in fitted]
    share = float(np.median(filled)) / (crop_size[0] * crop_size[1])
    return share if share < HALF else None


def read_sizes(samples: Sequence[Sample]) -> list[Size]:
    """Read the sizes of up to 64 images, evenly spread, from their headers.

    Files that cannot be read are left out; others name them.
    """
    places = np.linspace(0, len(samples) - 1, min(MOST, len(samples))).astype(int)
    sizes = []
    for place in places:
        try:
            sizes.append(image_size(samples[place].image))
        except UserError:
            continue
    return sizes


def _fitted(size: Size, frame: Size | None) -> tuple[float, float]:
    if frame is None:
        return size
    factor = min(max(frame) / max(size), min(frame) / min(size))
    return size[0] * factor, size[1] * factor
