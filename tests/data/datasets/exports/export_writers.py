"""One small data set as a plain folder and in the documented format of each annotation tool."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from layouts import put_text
from PIL import Image

from pspnet.data import COCO, Folder, LabelMe, Supervisely
from pspnet.data.datasets.base import Source

NAMES = ("background", "cat", "dog")
SIZE = (40, 52)
STEMS = tuple(f"s{number}" for number in range(9))
Box = tuple[int, int, int, int, int]  # class, and left, top, right, bottom, which are inside


def boxes(number: int) -> list[Box]:
    """Two overlapping rectangles, the later one above, and one beside them."""
    return [
        (1, 3 + number, 4, 30, 25),
        (2, 20, 10 + number, 44, 33),
        (1, 46, 2, 51, 2 + number),
    ]


def label(number: int) -> np.ndarray:
    """The label pixel by pixel."""
    drawn = np.zeros(SIZE, np.uint8)
    for train_id, left, top, right, bottom in boxes(number):
        drawn[top : bottom + 1, left : right + 1] = train_id
    return drawn


def put_json(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def put_scene(path: Path, number: int) -> Path:
    """Write the image of a label: noise, brighter where it is a cat or dog."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(0, 60, (*SIZE, 3), np.uint8)
    Image.fromarray(noise + 90 * label(number)[..., None]).save(path)
    return path


def bitmap_text(mask: np.ndarray, *, deflate: bool = False, palette: bool = False) -> str:
    """A mask as PNG in base64, as labelme writes it, or as Supervisely does."""
    image = Image.fromarray(mask.astype(np.uint8))
    if palette:
        image.putpalette([0, 0, 0, 255, 255, 255])
    file = io.BytesIO()
    image.save(file, "PNG", **({"transparency": 0} if palette else {}))
    content = file.getvalue()
    return base64.b64encode(zlib.compress(content) if deflate else content).decode()


def write_lists(root: Path, count: int, prefix: str = "") -> None:
    """Name a third of the images, the last ones, in val.txt."""
    cut = count - max(count // 3, 1)
    put_text(root / "train.txt", *(prefix + stem for stem in STEMS[:cut]))
    put_text(root / "val.txt", *(prefix + stem for stem in STEMS[cut:count]))


def write_folder(root: Path, count: int = 9) -> Source:
    put_text(root / "classes.yaml", f"names: {list(NAMES)}")
    for number, stem in enumerate(STEMS[:count]):
        put_scene(root / f"images/{stem}.png", number)
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(label(number)).save(root / f"masks/{stem}.png")
    write_lists(root, count)
    return Folder(root)


def labelme_shape(number: int, box: Box) -> dict[str, Any]:
    """A box as rectangle, polygon or mask, by turns."""
    train_id, left, top, right, bottom = box
    shape: dict[str, Any] = {"label": NAMES[train_id], "group_id": None, "flags": {}}
    if number % 3 == 0:
        shape |= {"shape_type": "rectangle", "points": [[right, top], [left, bottom]]}
    elif number % 3 == 1:
        corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
        shape |= {"shape_type": "polygon", "points": corners}
    else:
        mask = np.ones((bottom - top + 1, right - left + 1))
        corners = [[left, top], [right, bottom]]
        shape |= {"shape_type": "mask", "points": corners, "mask": bitmap_text(mask)}
    return shape


def labelme_file(image: str, shapes: list[dict[str, Any]]) -> dict[str, Any]:
    height, width = SIZE
    return {
        "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": None,
        "imageHeight": height, "imageWidth": width,
    }  # fmt: skip


def write_labelme(root: Path, count: int = 9) -> Source:
    for number, stem in enumerate(STEMS[:count]):
        put_scene(root / f"{stem}.png", number)
        shapes = [labelme_shape(number + at, box) for at, box in enumerate(boxes(number))]
        put_json(root / f"{stem}.json", labelme_file(f"{stem}.png", shapes))
    put_text(root / "labels.txt", "__ignore__", "_background_", "cat", "dog")
    write_lists(root, count)
    return LabelMe(root)


def coco_segmentation(number: int, box: Box) -> object:
    """A box as polygon, as run lengths, or as compressed ones, by turns."""
    from pycocotools import mask

    _, left, top, right, bottom = box
    pixels = np.zeros(SIZE, np.uint8, order="F")
    pixels[top : bottom + 1, left : right + 1] = 1
    if number % 3 == 0:
        return [[left, top, right + 1, top, right + 1, bottom + 1, left, bottom + 1]]
    if number % 3 == 1:
        return {"size": [*SIZE], "counts": mask.encode(pixels)["counts"].decode()}
    flat = np.concatenate([[0], pixels.T.ravel(), [2]])
    ends = np.flatnonzero(np.diff(flat))
    return {"size": [*SIZE], "counts": np.diff(ends, prepend=0).tolist()}


def coco_file(numbers: range) -> dict[str, Any]:
    height, width = SIZE
    images = [
        {"id": number + 7, "file_name": f"{STEMS[number]}.png", "height": height, "width": width}
        for number in numbers
    ]
    annotations = [
        {"id": 10 * number + at, "image_id": number + 7, "category_id": 5 * box[0], "iscrowd": 0,
         "segmentation": coco_segmentation(number + at, box)}
        for number in numbers for at, box in enumerate(boxes(number))
    ]  # fmt: skip
    categories = [{"id": 10, "name": "dog"}, {"id": 5, "name": "cat", "supercategory": "animal"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(root: Path, count: int = 9) -> Source:
    for number, stem in enumerate(STEMS[:count]):
        put_scene(root / f"images/{stem}.png", number)
    put_json(root / "annotations/instances_default.json", coco_file(range(count)))
    write_lists(root, count)
    return COCO(root)


def supervisely_object(number: int, box: Box) -> dict[str, Any]:
    """A box as rectangle, polygon or bitmap, by turns."""
    train_id, left, top, right, bottom = box
    found: dict[str, Any] = {"classTitle": NAMES[train_id]}
    if number % 3 == 0:
        points = {"exterior": [[left, top], [right, bottom]], "interior": []}
        return found | {"geometryType": "rectangle", "points": points}
    if number % 3 == 1:
        corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
        return found | {"geometryType": "polygon", "points": {"exterior": corners, "interior": []}}
    mask = np.ones((bottom - top + 1, right - left + 1))
    text = bitmap_text(mask, deflate=True, palette=True)
    return found | {"geometryType": "bitmap", "bitmap": {"data": text, "origin": [left, top]}}


def write_supervisely(root: Path, count: int = 9) -> Source:
    classes = [
        {"title": "cat", "shape": "any", "color": "#C80000"},
        {"title": "dog", "shape": "any", "color": "#0000c8"},
    ]
    put_json(root / "meta.json", {"classes": classes, "tags": []})
    height, width = SIZE
    for number, stem in enumerate(STEMS[:count]):
        put_scene(root / f"pets/img/{stem}.png", number)
        objects = [supervisely_object(number + at, box) for at, box in enumerate(boxes(number))]
        size = {"height": height, "width": width}
        put_json(root / f"pets/ann/{stem}.png.json", {"size": size, "objects": objects})
    write_lists(root, count, "pets/")
    return Supervisely(root)


WRITERS: dict[str, Callable[..., Source]] = {
    "LabelMe": write_labelme,
    "COCO": write_coco,
    "Supervisely": write_supervisely,
}
