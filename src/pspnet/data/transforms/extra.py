"""Extra transforms for the crops, tried on a crop before a training starts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import albumentations as A
import numpy as np
import yaml

from pspnet.data.datasets.classes import IGNORE
from pspnet.data.files import require
from pspnet.data.transforms.seeding import seed_transform
from pspnet.errors import UserError

Transform: TypeAlias = "A.BasicTransform | A.BaseCompose"

TRIALS = 4

# raised by albumentations on a file that describes no transform; the warning is about arguments
# that it would leave out
_NO_TRANSFORM = (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, UserWarning)


def load_transform(path: Path) -> Transform:
    """Load the file that `albumentations.save(transform, path, data_format="yaml")` wrote.

    Raises:
        UserError: if there is no such file, or if it describes no transform.
    """
    require(path, 'a file written by albumentations.save(transform, FILE, data_format="yaml")')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            # of ShiftScaleRotate, which works
            warnings.filterwarnings("ignore", message=".* is a special case of ")
            transform = A.load(path, data_format="yaml")
    except _NO_TRANSFORM as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"{path} holds no transform of albumentations {A.__version__} ({reason});"
            ' write it with albumentations.save(transform, FILE, data_format="yaml")'
        ) from None
    return transform


def check_transforms(
    transforms: Sequence[Transform], *, size: tuple[int, int], channels: int = 3
) -> None:
    """Try each transform, and each of those inside it, on a crop of the given height and width.

    Raises:
        UserError: naming the first transform that returns anything but a uint8 crop of the same
            channels and size, with the labels that it got, or 255.
    """
    for transform in _flat(transforms):
        for seed in range(TRIALS):
            fault = _fault(transform, size=size, channels=channels, seed=seed)
            if fault is not None:
                name = type(transform).__name__
                raise UserError(f"data.augmentation.extra: {name} {fault}")


def _flat(transforms: Sequence[Transform]) -> Iterator[A.BasicTransform]:
    for transform in transforms:
        if isinstance(transform, A.BaseCompose):
            yield from _flat(transform.transforms)
        else:
            yield transform


def _fault(
    transform: A.BasicTransform, *, size: tuple[int, int], channels: int, seed: int
) -> str | None:
    """Return the fault of a transform, in the words that follow its name; None if it has none."""
    (height, width), labels = size, [1, IGNORE - 1]
    image = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    mask = np.full(size, labels[0], np.uint8)
    mask[:, width // 2 :] = labels[1]
    seed_transform(transform, seed=seed)
    out = transform(image=image, mask=mask, force_apply=True)
    pixels, label = out["image"], out["mask"]
    if (str(pixels.dtype), pixels.shape[2:], str(label.dtype)) != ("uint8", (channels,), "uint8"):
        return (
            f"returns {pixels.dtype} of shape {tuple(pixels.shape)} and labels of {label.dtype};"
            " leave it out, as images keep their channels of 0 to 255 until they are normalized"
        )
    if (pixels.shape[:2], label.shape) != (size, size):
        rows, columns = pixels.shape[:2]
        return (
            f"returns {columns}×{rows} pixels for a crop of {width}×{height}; leave it out, and set"
            " data.crop_size or data.augmentation.scale"
        )
    new = set(np.unique(label).tolist()) - {*labels, IGNORE}
    if new:
        return f"returns labels of {min(new)} that it did not get; set its fill_mask to {IGNORE}"
    return None
