"""Projects of Supervisely: the classes in meta.json, and a JSON file of objects for each image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from pspnet.data.datasets.base import Sample
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.exports.drawn import DrawnData, drawn_classes, split_of_path
from pspnet.data.datasets.exports.json_fields import Field, read_json
from pspnet.data.datasets.exports.shapes import check_place, decode_bitmap, paste, read_size
from pspnet.data.datasets.own_data.base import Entry
from pspnet.data.files import IMAGE_SUFFIXES, find_files, require, require_root
from pspnet.data.image_io import check_memory
from pspnet.data.label_io import Color
from pspnet.errors import Findings, UserError
from pspnet.files.paths import is_file

EXPECTED = "an annotation of a Supervisely project"


class Supervisely(DrawnData):
    """A project of Supervisely as it is downloaded, with images.

        root/
            meta.json
            DATASET/img/a.jpg        a data set named train, val or test is that split
            DATASET/ann/a.jpg.json

    The format is that of docs.supervisely.com, "Annotation JSON format". Polygons with holes,
    bitmaps and rectangles are drawn as by Supervisely's own tools
    (github.com/supervisely/supervisely, supervisely/geometry); other geometries, which have no
    area, are refused. Classes are those of `meta.json`, in its order.
    """

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Return whether there are a meta.json and data sets."""
        return is_file(root / "meta.json") and bool(_folders(root))

    @cached_property
    def classes(self) -> Classes:
        path = require(
            require_root(self.root) / "meta.json", "the classes of a Supervisely project"
        )
        entries = read_json(path, expected="the classes of a Supervisely project").get("classes")
        names = [it.get("title").text() for it in entries.items()]
        return drawn_classes(path, names, [_color(it.get("color")) for it in entries.items()])

    def entries(self) -> list[Entry]:
        folders = _folders(self.root)
        if not folders:
            raise UserError(f"{self.root} has no folder with img/ and ann/; give the project's")
        entries = [entry for folder in folders for entry in self._entries(folder)]
        known = {entry.label for entry in entries}
        files = [path for folder in folders for path in find_files(folder / "ann", ".json")]
        if strays := [path for path in files if path not in known]:
            raise Findings([f"{it} has no image; download the images, too" for it in strays])
        return entries

    def _entries(self, folder: Path) -> Iterator[Entry]:
        for image in find_files(folder / "img", IMAGE_SUFFIXES):
            below = image.relative_to(folder / "img")
            name = (folder.relative_to(self.root) / below).with_suffix("").as_posix()
            label = folder / "ann" / f"{below}.json"
            found = label if is_file(label) else None
            yield Entry(name, image, found, split_of_path(image, self.root))

    def read_label(self, sample: Sample) -> np.ndarray:
        assert sample.label is not None
        file = read_json(sample.label, expected=EXPECTED)
        size = read_size(file.get("size").get("height"), file.get("size").get("width"))
        check_memory(sample.label, size[1], size[0])
        label = np.full(size, self.background, np.uint8)
        for it in file.get("objects").items():
            title = it.get("classTitle")
            if title.text() not in self.classes.names:
                raise title.error(f"meta.json has the classes {', '.join(self.classes.names)}")
            _draw(label, it, self.classes.names.index(title.text()))
        return label


def _folders(root: Path) -> list[Path]:
    """Return the data sets below the project, which may hold others in `datasets/`."""
    found = sorted(root.glob("*/ann")) + sorted(root.glob("*/datasets/**/ann"))
    return [path.parent for path in found if (path.parent / "img").is_dir()]


def _color(color: Field) -> Color:
    text = color.value
    if not isinstance(text, str) or not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise color.error("give a color as #FF0000")
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def _draw(label: np.ndarray, it: Field, train_id: int) -> None:
    kind, size = it.get("geometryType"), label.shape
    if kind.value == "bitmap":
        origin = it.get("bitmap").get("origin")
        points = origin.flat_points(1)
        check_place(origin, points, size)
        left, top = points[0].astype(int)
        bitmap = decode_bitmap(it.get("bitmap").get("data"), size)
        if not paste(label, bitmap, (top, left), train_id):
            raise origin.error("give a bitmap inside of the image")
    elif kind.value == "rectangle":
        corners = _corners(it.get("points").get("exterior"), 2, size)
        left, top = corners.min(0).clip(0)
        right, bottom = corners.max(0)
        label[top : bottom + 1, left : right + 1] = train_id
    elif kind.value == "polygon":
        _draw_polygon(label, it.get("points"), train_id)
    else:
        raise kind.error("draw it as a polygon, rectangle or bitmap, which have an area")


def _draw_polygon(label: np.ndarray, points: Field, train_id: int) -> None:
    exterior = _corners(points.get("exterior"), 3, label.shape)
    holes = points.get("interior")
    if not holes.value:
        cv2.fillPoly(label, [exterior], train_id)
        return
    inside = np.zeros_like(label)
    cv2.fillPoly(inside, [exterior], 1)
    for hole in holes.items():
        cv2.fillPoly(inside, [_corners(hole, 3, label.shape)], 0)
    label[inside > 0] = train_id


def _corners(field: Field, least: int, size: tuple[int, int]) -> np.ndarray:
    """Return points [x, y] as whole pixels, (N, 2) int32."""
    points = field.points(least)
    check_place(field, points, size)
    return np.round(points).astype(np.int32)
