"""Resize, rotation, mirror and crop as one affine map, of which only the crop is computed.

Pixels have their centers at whole numbers, as in OpenCV: an image begins at x = -0.5. Importing
this imports albumentations; `pspnet.data.transforms.pipeline` does so when it builds a pipeline.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

import albumentations as A
import cv2
import numpy as np

from pspnet.data.datasets.classes import IGNORE
from pspnet.errors import UserError

if TYPE_CHECKING:
    from pspnet.data.transforms.pipeline import Augmentation

RETRIES = 10
REACH = 2  # pixels to each side that the blur looks at
LONGEST = 32766  # side of a picture that OpenCV warps

Size = tuple[int, int]  # height and width
Window = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True)
class View:
    """A part of an image that was resized to a canvas, rotated about its middle and mirrored.

    Args:
        source: size of the image.
        canvas: size after the resize, which rotation and mirror leave.
        angle: of the rotation in degrees, anticlockwise.
        mirrored: whether left and right change places, after the rotation.
        window: rows and columns of the part, within the canvas.
    """

    source: Size
    canvas: Size
    angle: float
    mirrored: bool
    window: Window

    @property
    def matrix(self) -> np.ndarray:
        """Maps (x, y, 1) of the part to (x, y) of the source, (2, 3) float64."""
        turn, facing = math.radians(self.angle), -1 if self.mirrored else 1
        cos, sin = math.cos(turn), math.sin(turn)
        linear = np.array([[facing * cos, -sin], [facing * sin, cos]])
        linear *= np.divide(self.source, self.canvas)[::-1, None]
        # all three leave the middle in the middle
        rows, columns = self.window
        offset = linear @ (np.array([columns.start, rows.start]) - _middle(self.canvas))
        return np.column_stack([linear, offset + _middle(self.source)])

    def cut(self, pixels: np.ndarray, *, interpolation: int, fill: Sequence[int]) -> np.ndarray:
        """The part, in memory of its own; no more of the source is read than it shows.

        Args:
            pixels: the source, (H, W) or (H, W, C) uint8.
            interpolation: the number of OpenCV's.
            fill: what the rotation uncovers, one value a channel.

        Raises:
            ValueError: if the part shows more of the source than OpenCV can warp.
        """
        rows, columns = self.window
        if self.canvas == self.source and self.angle == 0:
            return self._shifted(pixels)
        size, matrix = (columns.stop - columns.start, rows.stop - rows.start), self.matrix
        box = _box(matrix, size=size, source=self.source)
        shown = pixels[box]
        if max(shown.shape[:2]) > LONGEST:
            raise UserError(
                f"a crop shows {shown.shape[1]}×{shown.shape[0]} pixels of its image, and OpenCV"
                f" warps up to {LONGEST}; divide the image, or scale it down less"
            )
        matrix[:, 2] -= [box[1].start, box[0].start]
        part: np.ndarray = cv2.warpAffine(
            shown,
            matrix,
            size,
            flags=interpolation | cv2.WARP_INVERSE_MAP,
            # a resize looks beyond the outermost centers, a rotation beyond the image
            borderMode=cv2.BORDER_CONSTANT if self.angle else cv2.BORDER_REPLICATE,
            borderValue=fill,
        )
        return part

    def widened(self, margin: int) -> View:
        """The part with so many more pixels to each side as the canvas has."""
        rows, columns = (
            slice(max(part.start - margin, 0), min(part.stop + margin, length))
            for part, length in zip(self.window, self.canvas, strict=True)
        )
        return replace(self, window=(rows, columns))

    def _shifted(self, pixels: np.ndarray) -> np.ndarray:
        rows, columns = self.window
        if not self.mirrored:
            return np.array(pixels[rows, columns])
        width = self.source[1]
        part: np.ndarray = cv2.flip(pixels[rows, width - columns.stop : width - columns.start], 1)
        return part


class Warp(A.DualTransform):  # type: ignore[misc]  # albumentations has no types
    """Random resize, rotation, blur, mirror and crop, as of one after the other in this order.

    The image is interpolated once, bilinearly, the label by its nearest pixel. Rotation uncovers
    the fill, 255 in the label. A crop lies within the resized image, anywhere alike; on an axis on
    which the image is smaller it takes all, unpadded.

    With `max_class_share` below 1 a crop is drawn again, up to ten times, while one class has that
    share of its labeled pixels, or none is labeled; the last is taken.

    Args:
        augmentation: the ranges and probabilities.
        crop_size: of the crop.
        fill: RGB, 0 to 255.

    Source: the author's `Compose` of transforms; mmsegmentation's `Resize(img_scale, ratio_range)`,
    with mmcv's rounding, and `RandomCrop(cat_max_ratio)`.
    """

    def __init__(
        self, augmentation: Augmentation, *, crop_size: Size, fill: tuple[int, int, int]
    ) -> None:
        super().__init__(p=1)
        self.augmentation, self.crop_size, self.fill = augmentation, crop_size, fill

    @property
    def targets_as_params(self) -> list[str]:
        return ["mask"] if self.augmentation.max_class_share < 1 else []

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        wanted, draw = self.augmentation, self.py_random
        source: Size = params["shape"][:2]
        scale = draw.uniform(*wanted.scale)
        rotates = draw.random() < wanted.rotation_probability
        angle = draw.uniform(-wanted.rotation, wanted.rotation) if rotates else 0.0
        blurred = draw.random() < wanted.blur
        mirrored = draw.random() < wanted.mirror
        canvas = _resized(source, scale=scale, frame=wanted.fit)
        view = View(source, canvas, angle, mirrored, self._place(canvas))
        label = None
        if wanted.max_class_share < 1 and view.window != (slice(0, canvas[0]), slice(0, canvas[1])):
            view, label = self._mixed(view, data["mask"])
        return {"scale": scale, "view": view, "blurred": blurred, "label": label}

    def apply(self, img: np.ndarray, view: View, blurred: bool, **_: Any) -> np.ndarray:
        wide = view.widened(REACH) if blurred else view
        pixels = wide.cut(img, interpolation=cv2.INTER_LINEAR, fill=self.fill)
        if not blurred:
            return pixels
        rows, columns = (
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(view.window, wide.window, strict=True)
        )
        # the kernel 1 4 6 4 1, of which A.GaussianBlur has no sigma
        smooth: np.ndarray = cv2.GaussianBlur(pixels, (5, 5), 0)[rows, columns]
        return smooth

    def apply_to_mask(
        self, mask: np.ndarray, view: View, label: np.ndarray | None, **_: Any
    ) -> np.ndarray:
        return _label(view, mask) if label is None else label

    def _place(self, canvas: Size) -> Window:
        draw: Random = self.py_random
        rows, columns = (
            slice(start := draw.randint(0, max(length - wanted, 0)), start + min(length, wanted))
            for length, wanted in zip(canvas, self.crop_size, strict=True)
        )
        return rows, columns

    def _mixed(self, view: View, mask: np.ndarray) -> tuple[View, np.ndarray]:
        """The first of up to eleven views that no class takes too much of, and its label."""
        label = _label(view, mask)
        for _ in range(RETRIES):
            if _greatest_share(label) < self.augmentation.max_class_share:
                break
            view = replace(view, window=self._place(view.canvas))
            label = _label(view, mask)
        return view, label


def _middle(size: Size) -> np.ndarray:
    """The point (x, y)."""
    height, width = size
    return np.array([width - 1, height - 1]) / 2


def _resized(source: Size, *, scale: float, frame: tuple[int, int] | None) -> Size:
    """The size of an image times a factor, or fitted into the frame times that factor."""
    height, width = source
    if frame is None:
        return max(1, int(height * scale)), max(1, int(width * scale))
    long, short = (int(side * scale) for side in frame)
    factor = min(long / max(source), short / min(source))
    return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))


def _box(matrix: np.ndarray, *, size: tuple[int, int], source: Size) -> Window:
    """The pixels of the source, at least one, that bilinear interpolation looks at.

    Args:
        matrix: see `View.matrix`.
        size: width and height of the part.
        source: the source's.
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


def _label(view: View, mask: np.ndarray) -> np.ndarray:
    return view.cut(mask, interpolation=cv2.INTER_NEAREST, fill=(IGNORE,))


def _greatest_share(label: np.ndarray) -> float:
    """What the most frequent class has of a label's labeled pixels; 1 if none is labeled."""
    counts = cv2.calcHist([label], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    counts[IGNORE] = 0
    return float(counts.max() / max(counts.sum(), 1)) if counts.any() else 1.0
