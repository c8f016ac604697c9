"""Steps of mmsegmentation's augmentation that albumentations has in another meaning or not at all.

They draw from the generators that `seed_transform` shares among all steps of a pipeline. Importing
this imports albumentations; `pspnet.data.transforms` does so when it builds a pipeline.
"""

from __future__ import annotations

import albumentations as A
import cv2
import numpy as np

from pspnet.data.classes import IGNORE

RETRIES = 10
BRIGHTNESS, CONTRAST, SATURATION = (-32.0, 32.0), (0.5, 1.5), (0.5, 1.5)
HUE = (-18, 17)  # of OpenCV's 180 steps; the published upper bound, 18, is not drawn
HUES = 180
LEVELS = np.arange(256, dtype=np.float32)


class FitResize(A.DualTransform):  # type: ignore[misc]  # albumentations has no types
    """One resize to a random factor of the size at which an image just fits into a frame.

    Args:
        frame: long and short side in pixels that an image, upright or not, fits into at factor 1.
        scale: least and greatest factor, drawn uniformly.

    Source: mmsegmentation's `Resize(img_scale, ratio_range)`; mmcv's rounding.
    """

    def __init__(self, frame: tuple[int, int], *, scale: tuple[float, float]) -> None:
        super().__init__(p=1)
        self.frame, self.scale = frame, scale

    def get_params_dependent_on_data(
        self, params: dict[str, tuple[int, ...]], data: dict[str, np.ndarray]
    ) -> dict[str, tuple[int, int]]:
        height, width = params["shape"][:2]
        scale = self.py_random.uniform(*self.scale)
        long, short = (int(side * scale) for side in self.frame)
        factor = min(long / max(height, width), short / min(height, width))
        return {"size": (max(1, int(width * factor + 0.5)), max(1, int(height * factor + 0.5)))}

    def apply(self, img: np.ndarray, size: tuple[int, int], **_: object) -> np.ndarray:
        resized: np.ndarray = cv2.resize(img, size, interpolation=cv2.INTER_LINEAR)
        return resized

    def apply_to_mask(self, mask: np.ndarray, size: tuple[int, int], **_: object) -> np.ndarray:
        resized: np.ndarray = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        return resized


class MixedCrop(A.DualTransform):  # type: ignore[misc]
    """A random crop in which no class takes too much, as far as some further draws can find one.

    An axis on which the image is smaller than the crop is left as it is, unpadded. Ignored pixels
    do not count; a crop without any other is drawn again too.

    Args:
        size: height and width of the crop in pixels.
        max_class_share: the share of the labelled pixels that the most frequent class must stay
            below, above 0; at 1 the first crop is taken, as is the last one after ten retries.

    Source: mmsegmentation's `RandomCrop(cat_max_ratio)`.
    """

    def __init__(self, size: tuple[int, int], *, max_class_share: float) -> None:
        super().__init__(p=1)
        self.size, self.max_class_share = size, max_class_share

    @property
    def targets_as_params(self) -> list[str]:
        return ["mask"]

    def get_params_dependent_on_data(
        self, params: dict[str, tuple[int, ...]], data: dict[str, np.ndarray]
    ) -> dict[str, tuple[slice, slice]]:
        height, width = params["shape"][:2]
        window = self._draw(height, width)
        if self.max_class_share < 1 and (height, width) != _sides(window):
            for _ in range(RETRIES):
                if _mixed(data["mask"][window], limit=self.max_class_share):
                    break
                window = self._draw(height, width)
        return {"window": window}

    def _draw(self, height: int, width: int) -> tuple[slice, slice]:
        tops, lefts = (max(a - b, 0) for a, b in zip((height, width), self.size, strict=True))
        top, left = self.py_random.randint(0, tops), self.py_random.randint(0, lefts)
        bottom, right = min(top + self.size[0], height), min(left + self.size[1], width)
        return slice(top, bottom), slice(left, right)

    def apply(self, img: np.ndarray, window: tuple[slice, slice], **_: object) -> np.ndarray:
        return img[window]


class PhotometricDistortion(A.ImageOnlyTransform):  # type: ignore[misc]
    """Random brightness, contrast, saturation and hue of RGB uint8 images, each on half of them.

    Brightness comes first, then saturation and hue; contrast, a factor from black, stands before
    these two or after them, as often one as the other. Each step gives whole values, 0 to 255, and
    rounds down but for the conversions to HSV and back, as the published one does.

    Args:
        p: share of the images that the steps are drawn for.

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


def _sides(window: tuple[slice, slice]) -> tuple[int, int]:
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def _mixed(labels: np.ndarray, *, limit: float) -> bool:
    """Whether every class has less than `limit` of the labelled pixels of labels (H, W) uint8."""
    counts = cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    counts[IGNORE] = 0
    return bool(counts.max() < limit * counts.sum())


def _whole_values(values: np.ndarray) -> np.ndarray:
    """A table, (256,) uint8, of values of any range: cut off at 0 and 255, rounded down."""
    table: np.ndarray = np.clip(values, 0, 255).astype(np.uint8)
    return table


def _in_hsv(image: np.ndarray, *, channel: int, table: np.ndarray) -> np.ndarray:
    """RGB uint8 with one of hue 0 to 179, saturation and value mapped by a table of 256."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., channel] = cv2.LUT(hsv[..., channel], table)
    changed: np.ndarray = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return changed
