"""Photometric distortion and padding of crops."""

from __future__ import annotations

import albumentations as A
import cv2
import numpy as np

from pspnet.data.datasets.classes import IGNORE
from pspnet.data.transforms.affine import by_channels

BRIGHTNESS, CONTRAST, SATURATION = (-32.0, 32.0), (0.5, 1.5), (0.5, 1.5)
HUE = (-18, 17)  # of OpenCV's 180 steps; the published upper bound, 18, is not drawn
HUES = 180
LEVELS = np.arange(256, dtype=np.float32)


# albumentations has no types
class PhotometricDistortion(A.ImageOnlyTransform):  # type: ignore[misc]
    """Random brightness, contrast, saturation and hue of RGB uint8 images, each on half of them.

    Brightness comes first, then saturation and hue; contrast, a factor from black, comes before
    these two or after them with equal probability. Each change returns whole values, 0 to 255, and
    rounds down except in the conversions to HSV and back, as the published code does.

    Args:
        p: share of the images for which the changes are drawn.

    Source: mmsegmentation's `PhotoMetricDistortion`, which is applied to every image.
    """

    def __init__(self, p: float) -> None:
        super().__init__(p=p)

    def get_params(self) -> dict[str, float | None]:
        draw = self.py_random
        return {
            "brightness": draw.uniform(*BRIGHTNESS) if draw.random() < 0.5 else None,
            "early": float(draw.random() < 0.5),  # contrast before saturation and hue
            "contrast": draw.uniform(*CONTRAST) if draw.random() < 0.5 else None,
            "saturation": draw.uniform(*SATURATION) if draw.random() < 0.5 else None,
            "hue": draw.randint(*HUE) if draw.random() < 0.5 else None,
        }

    def apply(
        self,
        img: np.ndarray,
        brightness: float | None,
        early: float,
        contrast: float | None,
        saturation: float | None,
        hue: float | None,
        **_: object,
    ) -> np.ndarray:
        if brightness is not None:
            img = cv2.LUT(img, _whole_values(LEVELS + np.float32(brightness)))
        if contrast is not None and early:
            img = cv2.LUT(img, _whole_values(LEVELS * np.float32(contrast)))
        if saturation is not None:
            img = _in_hsv(img, channel=1, table=_whole_values(LEVELS * np.float32(saturation)))
        if hue is not None:
            img = _in_hsv(img, channel=0, table=((LEVELS + hue) % HUES).astype(np.uint8))
        if contrast is not None and not early:
            img = cv2.LUT(img, _whole_values(LEVELS * np.float32(contrast)))
        return img


class CentralPadding(A.DualTransform):  # type: ignore[misc]
    """Pads a crop to its size, equally on both sides, with the odd pixel at the end.

    It equals `A.PadIfNeeded` with `position="center"`, which would also copy a crop of full size.

    Args:
        size: height and width to reach.
        fill: color, per channel, 0 to 255; labels are filled with 255.
    """

    def __init__(self, size: tuple[int, int], *, fill: tuple[float, ...]) -> None:
        super().__init__(p=1)
        self.size, self.fill = size, fill

    def apply(self, img: np.ndarray, **_: object) -> np.ndarray:
        return self._padded(img, value=self.fill)

    def apply_to_mask(self, mask: np.ndarray, **_: object) -> np.ndarray:
        return self._padded(mask, value=(IGNORE,))

    def _padded(self, pixels: np.ndarray, *, value: tuple[float, ...]) -> np.ndarray:
        height, width = (a - b for a, b in zip(self.size, pixels.shape[:2], strict=True))
        if height == width == 0:
            return pixels
        top, left = height // 2, width // 2
        sides = (top, height - top, left, width - left)
        return by_channels(
            lambda some, color: cv2.copyMakeBorder(some, *sides, cv2.BORDER_CONSTANT, value=color),
            pixels,
            fill=value,
        )


def _whole_values(values: np.ndarray) -> np.ndarray:
    """Return a table, (256,) uint8, of values clipped to 0 and 255 and rounded down."""
    table: np.ndarray = np.clip(values, 0, 255).astype(np.uint8)
    return table


def _in_hsv(image: np.ndarray, *, channel: int, table: np.ndarray) -> np.ndarray:
    """Map hue (0 to 179), saturation or value of an RGB uint8 image through a table of 256."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., channel] = cv2.LUT(hsv[..., channel], table)
    changed: np.ndarray = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return changed
