"""The files of a prediction: class ids, colors, confidence, probabilities and polygons."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image

from pspnet.data.image_io import encode
from pspnet.errors import UserError

if TYPE_CHECKING:
    from pspnet.prediction.prediction import Prediction

FormName = Literal[
    "index", "color", "overlay", "confidence", "probabilities", "geojson", "coco", "labelme"
]
MOST = 2**16 - 1  # of a confidence in 16 bits


@dataclass(frozen=True)
class Options:
    """Options of the forms beside the prediction.

    Args:
        alpha: weight of the colors in the overlay, 0 (image only) to 1 (colors only).
        tolerance: pixels by which the simplified border of a polygon may differ; 0 keeps each.

    Raises:
        UserError: if a value is out of range.
    """

    alpha: float = 0.5
    tolerance: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise UserError(f"alpha={self.alpha}: give a weight from 0 to 1")
        if not 0 <= self.tolerance < math.inf:
            raise UserError(f"tolerance={self.tolerance}: give pixels, 0 or more")


class Form(NamedTuple):
    """One kind of file: its suffix, and the function that returns its content."""

    suffix: str
    encode: Callable[[Prediction, Options], bytes]


class Region(NamedTuple):
    """Connected pixels of one class: its outer ring and its holes, (K, 2) x and y of corners."""

    class_id: int
    outer: np.ndarray
    holes: list[np.ndarray]


def regions(label: np.ndarray, *, tolerance: float) -> Iterator[Region]:
    """Yield the regions of a label (H, W) uint8 by size, the largest first.

    Rings run along the edges of pixels, from (0, 0) to (W, H), and are closed. Drawn one over the
    other in this order they give the label again.

    Raises:
        UserError: if rasterio is missing.
    """
    try:
        from rasterio.features import shapes
    except ImportError as error:
        raise UserError("polygons need rasterio; pip install rasterio") from error
    found = []
    for shape, value in shapes(label, connectivity=4):
        rings = [np.array(ring) for ring in shape["coordinates"]]
        found.append((abs(cv2.contourArea(rings[0].astype(np.float32))), int(value), rings))
    for _, value, (outer, *holes) in sorted(found, key=lambda one: -one[0]):
        simple = [simplified(ring, tolerance) for ring in (outer, *holes)]
        if simple[0] is not None:
            yield Region(value, simple[0], [hole for hole in simple[1:] if hole is not None])


def outlines(label: np.ndarray, *, tolerance: float) -> Iterator[tuple[int, np.ndarray]]:
    """Yield class and outline of the regions of a label (H, W) uint8, the largest first.

    An outline, (K, 2) x and y, runs through the outermost pixels, as LabelMe draws polygons. Drawn
    one over the other in this order they give the label again.
    """
    found = []
    for value in np.unique(label):
        count, parts, stats, _ = cv2.connectedComponentsWithStats(
            (label == value).astype(np.uint8), connectivity=4
        )
        for part in range(1, count):
            left, top, width, height = stats[part, :4]
            mask = (parts[top : top + height, left : left + width] == part).astype(np.uint8)
            (outline,), _ = cv2.findContours(
                mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(int(left), int(top))
            )
            if tolerance > 0:
                outline = cv2.approxPolyDP(outline, tolerance, closed=True)
            corners = outline[:, 0]
            found.append((cv2.contourArea(outline), width * height, int(value), corners))
    for _, _, value, corners in sorted(found, key=lambda one: (-one[0], -one[1])):
        yield value, corners if len(corners) > 2 else np.repeat(corners, 3, axis=0)


def simplified(ring: np.ndarray, tolerance: float) -> np.ndarray | None:
    """Return a closed ring with fewer corners, None if nothing is left of it."""
    if tolerance > 0:
        open_ring = ring[:-1].astype(np.float32)[:, None]
        corners = cv2.approxPolyDP(open_ring, tolerance, closed=True)[:, 0]
        if len(corners) < 3:
            return None
        ring = np.concatenate([corners, corners[:1]]).astype(np.float64)
    return ring


def _index(prediction: Prediction, options: Options) -> bytes:
    return encode(prediction.label, palette=prediction.classes.palette())


def _color(prediction: Prediction, options: Options) -> bytes:
    return encode(prediction.colors())


def _overlay(prediction: Prediction, options: Options) -> bytes:
    return encode(np.asarray(prediction.overlay(options.alpha)), "JPEG")


def _confidence(prediction: Prediction, options: Options) -> bytes:
    written = io.BytesIO()
    Image.fromarray(np.rint(prediction.confidence * MOST).astype(np.uint16)).save(written, "PNG")
    return written.getvalue()


def _probabilities(prediction: Prediction, options: Options) -> bytes:
    written = io.BytesIO()
    names = np.array(prediction.classes.names)
    np.savez_compressed(
        written, probabilities=prediction.scores().astype(np.float16), classes=names
    )
    return written.getvalue()


def _geojson(prediction: Prediction, options: Options) -> bytes:
    features = [
        {
            "type": "Feature",
            "properties": _properties(prediction, region),
            "geometry": {
                "type": "Polygon",
                "coordinates": [ring.tolist() for ring in (region.outer, *region.holes)],
            },
        }
        for region in regions(prediction.label, tolerance=options.tolerance)
    ]
    return _json({"type": "FeatureCollection", "features": features})


def _properties(prediction: Prediction, region: Region) -> dict[str, Any]:
    color = bytes(prediction.classes.colors[region.class_id]).hex()
    return {
        "class": prediction.classes.names[region.class_id],
        "class_id": region.class_id,
        "fill": f"#{color}",
    }


def _labelme(prediction: Prediction, options: Options) -> bytes:
    height, width = prediction.label.shape
    shapes = [
        {
            "label": prediction.classes.names[value],
            "points": corners.tolist(),
            "group_id": None,
            "shape_type": "polygon",
            "flags": {},
        }
        for value, corners in outlines(prediction.label, tolerance=options.tolerance)
    ]
    return _json(
        {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": prediction.file or f"{prediction.name}.png",
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
    )


def _coco(prediction: Prediction, options: Options) -> bytes:
    from pycocotools import mask

    height, width = prediction.label.shape
    annotations: list[dict[str, Any]] = []
    for index in np.unique(prediction.label):
        runs = mask.encode(np.asfortranarray(prediction.label == index, np.uint8))
        box, area = mask.toBbox(runs).tolist(), int(mask.area(runs))
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": 1,
                "category_id": int(index),
                "segmentation": {"size": [height, width], "counts": runs["counts"].decode()},
                "area": area,
                "bbox": box,
                "iscrowd": 0,
            }
        )
    name = prediction.file or f"{prediction.name}.png"
    names = enumerate(prediction.classes.names)
    return _json(
        {
            "images": [{"id": 1, "file_name": name, "height": height, "width": width}],
            "annotations": annotations,
            "categories": [{"id": index, "name": name} for index, name in names],
        }
    )


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


FORMS: dict[FormName, Form] = {
    "index": Form(".png", _index),
    "color": Form(".png", _color),
    "overlay": Form(".jpg", _overlay),
    "confidence": Form(".png", _confidence),
    "probabilities": Form(".npz", _probabilities),
    "geojson": Form(".geojson", _geojson),
    "coco": Form(".json", _coco),
    "labelme": Form(".json", _labelme),
}
