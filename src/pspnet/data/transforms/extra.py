"""Further steps of albumentations for the crops, tried out before a training rests on them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import albumentations as A
import numpy as np

from pspnet.data.datasets.classes import IGNORE
from pspnet.data.image_io import require
from pspnet.data.transforms.pipeline import seed_transform
from pspnet.errors import UserError

Step: TypeAlias = "A.BasicTransform | A.BaseCompose"

TRIALS = 4


def load_steps(path: Path) -> Step:
    """What `albumentations.save(transform, path, data_format="yaml")` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if no transform can be made of it.
    """
    require(path, 'what albumentations.save(transform, FILE, data_format="yaml") writes')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # of arguments that it would leave out
            step = A.load(path, data_format="yaml")
    except Exception as error:  # of whatever the file holds
        raise UserError(
            f"{path} holds no transform of albumentations {A.__version__} ({_in_a_line(error)});"
            ' write it with albumentations.save(transform, FILE, data_format="yaml")'
        ) from None
    return step


def check_steps(steps: Sequence[Step], *, size: tuple[int, int]) -> None:
    """Tries each step, and each of those in it, on a crop of the given height and width.

    Raises:
        ValueError: naming the first step that fails or gives anything but a crop of the same size,
            RGB of 0 to 255, whose labels are those before, or 255.
    """
    for step in _single(steps):
        for seed in range(TRIALS):
            fault = _fault(step, size=size, seed=seed)
            if fault is not None:
                raise UserError(f"data.augmentation.more: {type(step).__name__} {fault}")


def _single(steps: Sequence[Step]) -> Iterator[A.BasicTransform]:
    for step in steps:
        if isinstance(step, A.BaseCompose):
            yield from _single(step.transforms)
        else:
            yield step


def _fault(step: A.BasicTransform, *, size: tuple[int, int], seed: int) -> str | None:
    """What is wrong with a step, in the words that follow its name."""
    (height, width), labels = size, [1, IGNORE - 1]
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = np.full(size, labels[0], np.uint8)
    mask[:, width // 2 :] = labels[1]
    try:
        seed_transform(step, seed=seed)
        out = step(image=image, mask=mask, force_apply=True)
    except Exception as error:  # of whatever a step asks for
        return f"cannot be applied to a crop and its label ({_in_a_line(error)}); leave it out"
    made, label = out["image"], out["mask"]
    if (str(made.dtype), made.shape[2:], str(label.dtype)) != ("uint8", (3,), "uint8"):
        return (
            f"makes {made.dtype} of shape {tuple(made.shape)} and labels of {label.dtype}; leave it"
            " out, as images stay RGB of 0 to 255 until they are normalized"
        )
    if (made.shape[:2], label.shape) != (size, size):
        rows, columns = made.shape[:2]
        return (
            f"makes {columns}×{rows} pixels of a crop of {width}×{height}; leave it out, and set"
            " data.crop_size or data.augmentation.scale"
        )
    new = set(np.unique(label).tolist()) - {*labels, IGNORE}
    if new:
        return f"makes labels of {min(new)} that were not there; set its fill_mask to {IGNORE}"
    return None


def _in_a_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
