"""A part of a resized, rotated and flipped image as one affine map, of which only the part is read.

Pixels have their centers at whole numbers, as in OpenCV: an image begins at x = -0.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pspnet.data.channels import FULL
from pspnet.errors import UserError

LONGEST = 32766  # side of an image that OpenCV warps
TOGETHER = 4  # channels that OpenCV fills with colors of their own

Size = tuple[int, int]  # height and width
Window = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True)
class View:
    """A part of an image that was resized to a canvas, rotated about its center and flipped.

    Args:
        source: size of the image.
        canvas: size after the resize, which rotation and flip leave.
        angle: angle of the rotation in degrees, counterclockwise.
        mirrored: True for a horizontal flip after the rotation.
        window: rows and columns of the part, within the canvas.
    """

    source: Size
    canvas: Size
    angle: float
    mirrored: bool
    window: Window

    @property
    def matrix(self) -> np.ndarray:
        """Matrix from (x, y, 1) of the part to (x, y) of the source, (2, 3) float64."""
        turn, facing = math.radians(self.angle), -1 if self.mirrored else 1
        cos, sin = math.cos(turn), math.sin(turn)
        linear = np.array([[facing * cos, -sin], [facing * sin, cos]])
        linear *= np.divide(self.source, self.canvas)[::-1, None]
        # resize, rotation and flip all leave the center in the center
        rows, columns = self.window
        offset = linear @ (np.array([columns.start, rows.start]) - _center(self.canvas))
        return np.column_stack([linear, offset + _center(self.source)])

    def cut(self, pixels: np.ndarray, *, interpolation: int, fill: Sequence[float]) -> np.ndarray:
        """Return the part in its own memory; no more of the source is read than it shows.

        Args:
            pixels: the source, (H, W) or (H, W, C) uint8 or uint16.
            interpolation: OpenCV's constant.
            fill: value of pixels that the rotation uncovers, per channel, 0 to 255.

        Raises:
            UserError: if the part shows more of the source than OpenCV can warp.
        """
        rows, columns = self.window
        if self.canvas == self.source and self.angle == 0:
            return self._copy(pixels)
        size, matrix = (columns.stop - columns.start, rows.stop - rows.start), self.matrix
        box = _box(matrix, size=size, source=self.source)
        shown = pixels[box]
        if max(shown.shape[:2]) > LONGEST:
            raise UserError(
                f"a crop shows {shown.shape[1]}×{shown.shape[0]} pixels of its image, and OpenCV"
                f" warps up to {LONGEST}; divide the image, or scale it down less"
            )
        matrix[:, 2] -= [box[1].start, box[0].start]
        return by_channels(
            lambda some, color: cv2.warpAffine(
                some,
                matrix,
                size,
                flags=interpolation | cv2.WARP_INVERSE_MAP,
                # a resize reads beyond the outermost centers, a rotation beyond the image
                borderMode=cv2.BORDER_CONSTANT if self.angle else cv2.BORDER_REPLICATE,
                borderValue=color,
            ),
            shown,
            fill=fill,
        )

    def widened(self, margin: int) -> View:
        """Return the part with `margin` more pixels on each side, as far as the canvas has them."""
        rows, columns = (
            slice(max(part.start - margin, 0), min(part.stop + margin, length))
            for part, length in zip(self.window, self.canvas, strict=True)
        )
        return replace(self, window=(rows, columns))

    def _copy(self, pixels: np.ndarray) -> np.ndarray:
        rows, columns = self.window
        if not self.mirrored:
            return np.array(pixels[rows, columns])
        width = self.source[1]
        part: np.ndarray = cv2.flip(pixels[rows, width - columns.stop : width - columns.start], 1)
        return part.reshape(*part.shape[:2], *pixels.shape[2:])


def by_channels(
    change: Callable[[np.ndarray, Sequence[float]], np.ndarray],
    pixels: np.ndarray,
    *,
    fill: Sequence[float],
) -> np.ndarray:
    """Apply a function of OpenCV, which knows colors of four channels, to any number of them.

    Args:
        change: takes pixels, (H, W) or (H, W, C), and a color in their type's range.
        pixels: (H, W) or (H, W, C), uint8 or uint16.
        fill: the color, per channel, 0 to 255.
    """
    color = [round(value) for value in fill]
    if pixels.dtype == np.uint16:
        color = [round(FULL / 255 * value) for value in fill]
    if len(color) <= TOGETHER:
        changed = change(pixels, color)
        # OpenCV drops an axis of one
        return changed.reshape(*changed.shape[:2], *pixels.shape[2:])
    starts = range(0, len(color), TOGETHER)
    parts = [slice(start, start + TOGETHER) for start in starts]
    return np.dstack(
        [change(np.ascontiguousarray(pixels[..., part]), color[part]) for part in parts]
    )


def _center(size: Size) -> np.ndarray:
    """Return the center of an image as a point (x, y)."""
    height, width = size
    return np.array([width - 1, height - 1]) / 2


def _box(matrix: np.ndarray, *, size: tuple[int, int], source: Size) -> Window:
    """Return the pixels of the source, at least one, that bilinear interpolation reads.

    Args:
        matrix: see `View.matrix`.
        size: width and height of the part.
        source: size of the source.
    """
    right, bottom = size[0] - 1, size[1] - 1
    corners = matrix @ [[0, right, 0, right], [0, 0, bottom, bottom], [1, 1, 1, 1]]
    (left, top), (right, bottom) = np.floor(corners.min(1)), np.floor(corners.max(1))
    height, width = source
    return _within(top, bottom, length=height), _within(left, right, length=width)


def _within(first: float, last: float, *, length: int) -> slice:
    # one pixel beyond the neighbors on both sides, as OpenCV rounds the points
    start = min(max(int(first) - 1, 0), length - 1)
    return slice(start, max(min(int(last) + 3, length), start + 1))
