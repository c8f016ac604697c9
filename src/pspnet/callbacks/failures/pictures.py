"""The images that the page of failures shows, as few and small as a page can hold."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from pspnet.data.datasets.classes import IGNORE
from pspnet.evaluation.image_scores import ImageScore
from pspnet.plotting.style import STRIPE, WRONG, stripes

LISTED = 40  # images of the lowest IoU, as many of the worst labels, and as many for all classes
SIDE = 320  # pixels of the longer side
UNUSED = 254  # label value of the stripes, a class only where there are 255
WHITE = (255, 255, 255)  # below the stripes of ignored pixels


@dataclass(frozen=True)
class Pictures:
    """An image in JPEG, and label, prediction and their difference in PNG, of one size.

    The difference is transparent where the prediction is right.
    """

    size: tuple[int, int]  # width and height
    image: bytes
    label: bytes
    prediction: bytes
    difference: bytes


@dataclass(frozen=True)
class Thumbnail:
    """An image (H, W, 3) RGB, its label and prediction (H, W), all uint8 and of at most `SIDE`."""

    image: np.ndarray
    label: np.ndarray
    prediction: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, label: np.ndarray, prediction: np.ndarray) -> Thumbnail:
        """Return the thumbnail of arrays of any size."""
        height, width = label.shape
        shrink = min(1.0, SIDE / max(height, width))
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        ids = (cv2.resize(it, size, interpolation=cv2.INTER_NEAREST) for it in (label, prediction))
        return cls(cv2.resize(image, size, interpolation=cv2.INTER_AREA), *ids)

    def encoded(self, palette: np.ndarray) -> Pictures:
        """Return the files of the page; ignored pixels are striped.

        Args:
            palette: RGB by label value, (256, 3) uint8.
        """
        colors = palette.copy()
        colors[IGNORE] = WHITE
        ignored = self.label == IGNORE
        lines = ignored & stripes(*ignored.shape)
        marks = np.where(ignored, 2, self.label != self.prediction).astype(np.uint8)
        marks[lines] = 3
        label = self.label.copy()
        if UNUSED not in np.unique(label):
            colors[UNUSED] = STRIPE
            label[lines] = UNUSED
        mark_colors = np.array([(0, 0, 0), WRONG, WHITE, STRIPE], np.uint8)
        height, width = self.label.shape
        return Pictures(
            (width, height),
            _encoded(self.image, "JPEG", quality=75),
            _encoded(label, "PNG", colors),
            _encoded(self.prediction, "PNG", palette),
            _encoded(marks, "PNG", mark_colors, transparency=0, bits=2),
        )


def _encoded(
    pixels: np.ndarray, format: str, palette: np.ndarray | None = None, **options: int
) -> bytes:
    image, content = Image.fromarray(pixels), io.BytesIO()
    if palette is not None:
        image.putpalette(palette.tobytes())
    image.save(content, format, **options)
    return content.getvalue()


def shown(rows: Iterable[ImageScore]) -> list[str]:
    """Return the names of the images that the page shows.

    They are those of the lowest mIoU and label quality, and of the lowest IoU of each class.
    """
    rows = sorted(rows, key=lambda row: row.name)
    if not rows:
        return []
    by_class = np.stack([row.iou for row in rows])  # (images, C)
    each = max(1, LISTED // by_class.shape[1])
    columns = [
        (np.array([row.miou for row in rows]), LISTED),
        (np.array([row.label_quality for row in rows]), LISTED),
        *((column, each) for column in by_class.T),
    ]
    chosen: set[int] = set()
    for values, count in columns:
        lowest = np.argsort(values, kind="stable")[:count]  # nan last
        chosen.update(lowest[np.isfinite(values[lowest])].tolist())
    return [rows[index].name for index in sorted(chosen)]


class Shelf:
    """Thumbnails of the images that the page may show among those seen so far.

    Their number does not grow with that of the images.
    """

    def __init__(self) -> None:
        self.rows: dict[str, ImageScore] = {}
        self.thumbnails: dict[str, Thumbnail] = {}

    def offer(self, row: ImageScore, thumbnail: Callable[[], Thumbnail]) -> None:
        """Keep an image if it is shown among those on the shelf, and no others than these."""
        self.rows[row.name] = row
        names = {*shown(self.rows.values())}
        if row.name in names:
            self.thumbnails[row.name] = thumbnail()
        for name in self.rows.keys() - names:
            del self.rows[name]
            self.thumbnails.pop(name, None)
