"""Random resize, rotation, blur, horizontal flip and crop in one transform of albumentations."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import albumentations as A
import cv2
import numpy as np

from pspnet.data.datasets.classes import IGNORE
from pspnet.data.transforms.affine import Size, View, Window

RETRIES = 10
MARGIN = 2  # pixels on each side that the blur reads


class RandomAffineCrop(A.DualTransform):  # type: ignore[misc]  # albumentations has no types
    """Random resize, rotation, blur, horizontal flip and crop, equal to one after the other.

    The image is interpolated once, bilinearly, where the published transforms interpolate in the
    resize and once more in the rotation; the label has its nearest pixel. Rotation uncovers pixels
    of the fill color, 255 in the label. A crop lies within the resized image, everywhere
    with the same probability; on an axis on which the image is smaller it takes all, unpadded.

    With `max_class_share` below 1 a crop is drawn again, up to ten times, while one class has that
    share of its labeled pixels, or none is labeled; the last one is taken.

    Args:
        crop_size: height and width of the crop.
        fill: color, per channel, 0 to 255, rounded to whole levels as images are bytes.
        scale: least and greatest factor of the resize.
        fit: long and short side that the image is fitted into, or None.
        rotation: greatest angle in degrees.
        rotation_probability: share of the images that are rotated.
        blur: share of the images that are blurred.
        mirror: share of the images that are flipped.
        max_class_share: share of a crop's labeled pixels that one class must stay below; 1 is off.

    Source: the `Compose` of semseg's tool/train.py, whose `RandScale` rounds sizes as
    `cv2.resize(fx=, fy=)` does, half to even; mmsegmentation's `Resize(img_scale, ratio_range)`,
    with mmcv's rounding, and `RandomCrop(cat_max_ratio)`.
    """

    def __init__(
        self,
        crop_size: Size,
        *,
        fill: tuple[float, ...],
        scale: tuple[float, float],
        fit: tuple[int, int] | None,
        rotation: float,
        rotation_probability: float,
        blur: float,
        mirror: float,
        max_class_share: float,
    ) -> None:
        super().__init__(p=1)
        self.crop_size, self.fill = crop_size, fill
        self.scale, self.fit = scale, fit
        self.rotation, self.rotation_probability = rotation, rotation_probability
        self.blur, self.mirror = blur, mirror
        self.max_class_share = max_class_share

    @property
    def targets_as_params(self) -> list[str]:
        return ["mask"] if self.max_class_share < 1 else []

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        draw: Random = self.py_random
        source: Size = params["shape"][:2]
        scale = draw.uniform(*self.scale)
        rotates = draw.random() < self.rotation_probability
        angle = draw.uniform(-self.rotation, self.rotation) if rotates else 0.0
        blurred = draw.random() < self.blur
        mirrored = draw.random() < self.mirror
        canvas = _resized(source, scale=scale, frame=self.fit)
        view = View(source, canvas, angle, mirrored, self._draw_window(canvas))
        label = None
        if self.max_class_share < 1 and view.window != (slice(0, canvas[0]), slice(0, canvas[1])):
            view, label = self._redraw(view, data["mask"])
        return {"scale": scale, "view": view, "blurred": blurred, "label": label}

    def apply(self, img: np.ndarray, view: View, blurred: bool, **_: Any) -> np.ndarray:
        wide = view.widened(MARGIN) if blurred else view
        pixels = wide.cut(img, interpolation=cv2.INTER_LINEAR, fill=self.fill)
        if not blurred:
            return pixels
        rows, columns = (
            slice(inner.start - outer.start, inner.stop - outer.start)
            for inner, outer in zip(view.window, wide.window, strict=True)
        )
        # the kernel 1 4 6 4 1, for which A.GaussianBlur has no sigma
        smooth: np.ndarray = cv2.GaussianBlur(pixels, (5, 5), 0)[rows, columns]
        return smooth.reshape(*smooth.shape[:2], *pixels.shape[2:])

    def apply_to_mask(
        self, mask: np.ndarray, view: View, label: np.ndarray | None, **_: Any
    ) -> np.ndarray:
        return _cut_label(view, mask) if label is None else label

    def _draw_window(self, canvas: Size) -> Window:
        draw: Random = self.py_random
        rows, columns = (
            slice(start := draw.randint(0, max(length - wanted, 0)), start + min(length, wanted))
            for length, wanted in zip(canvas, self.crop_size, strict=True)
        )
        return rows, columns

    def _redraw(self, view: View, mask: np.ndarray) -> tuple[View, np.ndarray]:
        """Return the first of up to eleven views in which no class has too much, and its label."""
        label = _cut_label(view, mask)
        for _ in range(RETRIES):
            if _greatest_share(label) < self.max_class_share:
                break
            view = replace(view, window=self._draw_window(view.canvas))
            label = _cut_label(view, mask)
        return view, label


def _resized(source: Size, *, scale: float, frame: tuple[int, int] | None) -> Size:
    """Return the size of an image times a factor, or fitted into the frame times that factor."""
    height, width = source
    if frame is None:
        return max(1, round(height * scale)), max(1, round(width * scale))  # as OpenCV does
    long, short = (int(side * scale) for side in frame)
    factor = min(long / max(source), short / min(source))
    return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))


def _cut_label(view: View, mask: np.ndarray) -> np.ndarray:
    return view.cut(mask, interpolation=cv2.INTER_NEAREST, fill=(IGNORE,))


def _greatest_share(label: np.ndarray) -> float:
    """Return the share of the most frequent class in the labeled pixels; 1 if none is labeled."""
    counts = cv2.calcHist([label], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    counts[IGNORE] = 0
    return float(counts.max() / max(counts.sum(), 1)) if counts.any() else 1.0
