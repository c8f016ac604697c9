"""Annotations of labelme: a JSON file of shapes for each image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageDraw

from pspnet.data.datasets.base import Sample
from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.data.datasets.exports.drawn import (
    BACKGROUND,
    DrawnData,
    drawn_classes,
    split_of_path,
)
from pspnet.data.datasets.exports.json_fields import Field, read_json
from pspnet.data.datasets.exports.shapes import check_place, decode_bitmap, read_size
from pspnet.data.datasets.own_data.base import Entry
from pspnet.data.datasets.own_data.classes_yaml import read_classes
from pspnet.data.files import IMAGE_SUFFIXES, find_files, read_list, require_root
from pspnet.data.image_io import check_memory, image_size
from pspnet.errors import UserError

IGNORED = "__ignore__"
EXPECTED = "the annotation that labelme saves"


class LabelMe(DrawnData):
    """Images annotated in labelme, whose JSON files are read as they are.

        root/
            any/subfolders/a.jpg
            any/subfolders/a.json    beside its image, or in a folder of its own
            labels.txt               optional, a class per line; or classes.yaml
            train.txt  val.txt       optional

    A JSON file belongs to the image of its stem, as labelme opens them: the one beside it, the only
    one, or that in a folder of the same name; and otherwise to the file of its `imagePath`. Shapes
    are drawn as by labelme's own `shapes_to_label` (github.com/wkentaro/labelme,
    labelme/utils/shape.py), those of `__ignore__` as ignored. Points and lines, which have no area,
    are refused. Without `labels.txt` or `classes.yaml` the classes are the sorted labels of all
    files, for which all are read at the start.
    """

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Return whether the first JSON file in a folder, or in one below it, is labelme's."""
        try:
            folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
            first = [next(iter(find_files(it, ".json", depth=0)), None) for it in folders]
            path = next(path for path in first if path is not None)
            value = read_json(path, expected=EXPECTED).value
        except (StopIteration, OSError, UserError):
            return False
        return isinstance(value, dict) and {"shapes", "imagePath"} <= value.keys()

    @cached_property
    def classes(self) -> Classes:
        if (self.root / "classes.yaml").exists():
            return read_classes(self.root / "classes.yaml")[0]
        listing = self.root / "labels.txt"
        if listing.exists():
            return drawn_classes(listing, [it for it in read_list(listing) if it != IGNORED])
        shapes = [shape for path in self._files.values() for shape in _shapes(path)]
        names = sorted({shape.get("label").text() for shape in shapes} - {IGNORED, *BACKGROUND})
        return drawn_classes(self.root, names)

    def entries(self) -> list[Entry]:
        if self._others:
            self.notes.append(
                f"{len(self._others)} JSON files without shapes are not read: {self._others[0]}"
            )
        return [
            Entry(
                image.relative_to(self.root).with_suffix("").as_posix(),
                image,
                self._files.get(image),
                split_of_path(image, self.root),
            )
            for image in self._images
        ]

    def missing_label(self, entry: Entry) -> str:
        return (
            f"{entry.image} has no JSON file; save it in labelme, without shapes if it shows no"
            " class, or leave the image out of the lists"
        )

    def read_label(self, sample: Sample) -> np.ndarray:
        assert sample.label is not None
        file = read_json(sample.label, expected=EXPECTED)
        height, width = file.get("imageHeight"), file.get("imageWidth")
        if height.value is None and width.value is None:
            size = image_size(sample.image)
        else:
            size = read_size(height, width)
        check_memory(sample.label, size[1], size[0])
        image = Image.new("L", size[::-1], self.background)
        draw = ImageDraw.Draw(image)
        for shape in file.get("shapes").items():
            _draw(draw, size, shape, self._train_id(shape.get("label")))
        return np.array(image)

    def _train_id(self, label: Field) -> int:
        name, names = label.text(), self.classes.names
        if name in names:
            return names.index(name)
        if name == IGNORED:
            return IGNORE
        if name in BACKGROUND:
            return self.background
        raise label.error(f"the classes are {', '.join(names)}; add it, or correct the label")

    @cached_property
    def _images(self) -> list[Path]:
        def is_export(path: Path) -> bool:  # `labelme_export_json` writes img.png into a_json/
            name = path.parent.name.removesuffix("_json")
            return name != path.parent.name and (path.parents[1] / f"{name}.json").exists()

        require_root(self.root)
        return [path for path in find_files(self.root, IMAGE_SUFFIXES) if not is_export(path)]

    @cached_property
    def _files(self) -> dict[Path, Path]:
        """The JSON file of each image."""
        return self._paired[0]

    @property
    def _others(self) -> list[Path]:
        """The JSON files that hold no shapes."""
        return self._paired[1]

    @cached_property
    def _paired(self) -> tuple[dict[Path, Path], list[Path]]:
        files: dict[Path, Path] = {}
        others = []
        for path, image in self._candidates():
            if image is None:
                others.append(path)
            elif image in files:
                raise UserError(f"{files[image]} and {path} both label {image}; keep one of them")
            else:
                files[image] = path
        return files, others

    def _candidates(self) -> Iterator[tuple[Path, Path | None]]:
        beside = {path.with_suffix(""): path for path in self._images}
        named: dict[str, list[Path]] = defaultdict(list)
        for path in self._images:
            named[path.stem].append(path)
            named[path.name].append(path)
        for path in find_files(self.root, ".json"):
            same = named[path.stem]
            near = [image for image in same if image.parent.name == path.parent.name]
            image = beside.get(path.with_suffix("")) or _only(same) or _only(near)
            yield path, image or _image_of(path, named)


def _only(paths: list[Path]) -> Path | None:
    return paths[0] if len(paths) == 1 else None


def _image_of(path: Path, named: dict[str, list[Path]]) -> Path | None:
    """Return the image that a JSON file names, or None if it is not labelme's."""
    file = read_json(path, expected=EXPECTED)
    if not isinstance(file.value, dict) or "shapes" not in file.value:
        return None
    given = file.get("imagePath")
    name = PurePosixPath(given.text().replace("\\", "/"))
    image = path.parent / name
    known = named[name.name]
    found = image if image in known else _only(known)
    if found is None:
        many = f"{len(known)} images have that name" if known else "there is no such image"
        raise given.error(f"{many}; put the image beside the JSON file, with the same stem")
    return found


def _shapes(path: Path) -> list[Field]:
    return read_json(path, expected=EXPECTED).get("shapes").items()


def _draw(draw: ImageDraw.ImageDraw, size: tuple[int, int], shape: Field, train_id: int) -> None:
    """Draw a shape as labelme does, on a label of (height, width)."""
    kind, field = shape.get("shape_type"), shape.get("points")
    points = field.points(1)
    check_place(field, points, size)
    if kind.value == "mask" and len(points) == 2:
        _draw_mask(draw, size, shape, points.astype(int), train_id)
    elif kind.value == "circle" and len(points) == 2:
        radius = np.hypot(*(points[1] - points[0]))
        draw.ellipse([*(points[0] - radius), *(points[0] + radius)], train_id, train_id)
    elif kind.value == "rectangle" and len(points) == 2:
        draw.rectangle([*points.min(0), *points.max(0)], train_id, train_id)
    elif kind.value in (None, "polygon", "rectangle") and len(points) > 2:  # a turned rectangle
        draw.polygon([*map(tuple, points.tolist())], train_id, train_id)
    elif kind.value in (None, "mask", "circle", "rectangle", "polygon"):
        raise field.error("give at least 3 points, and 2 of a circle, rectangle or mask")
    else:
        raise kind.error("draw it as a polygon, rectangle, circle or mask, which have an area")


def _draw_mask(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    shape: Field,
    corners: np.ndarray,
    train_id: int,
) -> None:
    (left, top), (right, bottom) = corners.tolist()
    bitmap = decode_bitmap(shape.get("mask"), size)
    rows, columns = bitmap.shape
    if (rows, columns) != (bottom - top + 1, right - left + 1) or min(left, top) < 0:
        raise shape.get("points").error(f"give the corners of its mask, {columns}×{rows} pixels")
    draw.bitmap((left, top), Image.fromarray(bitmap), train_id)
