"""Weights of pixels in an evaluation, from images of one number per pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pspnet.data.image_io import decode, read_bytes
from pspnet.errors import UserError

FOLDER = "weights"
WEIGHT_SUFFIXES = (".png", ".tif", ".tiff")


def weight_file(folder: Path, name: str) -> Path:
    """Return the file of weights of a sample in a folder.

    Raises:
        UserError: if there is none: an image without weights would count more or less than others.
    """
    for suffix in WEIGHT_SUFFIXES:
        if (path := folder / f"{name}{suffix}").is_file():
            return path
    raise UserError(
        f"{folder / name}.png is missing: expected the weights of an image, as {folder} holds those"
        " of others; add it"
    )


def read_weights(path: Path, size: tuple[int, ...]) -> np.ndarray:
    """Read what each pixel counts, (H, W) float32, from a gray image.

    Its values are the weights: of 8, 16 or 32 bits or of floating point; a file of zeros leaves an
    image out. Only their ratios change a score.

    Args:
        path: a PNG or TIFF file.
        size: (H, W) of the label.

    Raises:
        UserError: for an image in color or of another size, or negative or infinite values.
    """
    image = decode(path, read_bytes(path), upright=True)
    if image.mode == "P" or len(image.getbands()) > 1:
        raise UserError(f"{path} is in color; weights are gray images of one number per pixel")
    weights = np.asarray(image).astype(np.float32)
    if weights.shape != tuple(size):
        (height, width), (rows, columns) = size, weights.shape
        raise UserError(
            f"{path} is {columns}×{rows} pixels, its label {width}×{height}; give both one size"
        )
    if not np.isfinite(weights).all() or weights.min() < 0:
        raise UserError(f"{path} holds negative or infinite weights; give 0 or more")
    return weights
