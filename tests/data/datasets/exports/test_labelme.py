from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_writers import SIZE, bitmap_text, labelme_file, put_json, put_scene
from layouts import put_text
from PIL import Image, ImageDraw

from pspnet.data import LabelMe
from pspnet.errors import UserError


def put(root: Path, name: str, shapes: list[dict[str, Any]], image: str | None = None) -> Path:
    image = image or f"{name}.png"
    put_scene(root / image, 0)
    return put_json(root / f"{name}.json", labelme_file(image.rpartition("/")[2], shapes))


def shape(label: str, kind: str, *points: list[float], **more: Any) -> dict[str, Any]:
    return {"label": label, "shape_type": kind, "points": [*points], **more}


def read(root: Path, name: str = "a") -> np.ndarray:
    put(root, "other", [shape("cat", "rectangle", [0, 0], [3, 3])])
    put_text(root / "train.txt", "other")
    put_text(root / "val.txt", name)
    source = LabelMe(root)
    (sample,) = source.samples("val")
    return source.read_label(sample)


def as_labelme(shapes: list[dict[str, Any]], ids: dict[str, int]) -> np.ndarray:
    """labelme's own `shapes_to_label`: every shape on a mask of its own."""
    label = np.zeros(SIZE, np.int32)
    for it in shapes:
        mask = Image.fromarray(np.zeros(SIZE, np.uint8))
        draw, points = ImageDraw.Draw(mask), [tuple(point) for point in it["points"]]
        if it["shape_type"] == "circle":
            (x, y), edge = points
            radius = math.dist((x, y), edge)
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=1, fill=1)
        elif it["shape_type"] == "rectangle":
            draw.rectangle(points, outline=1, fill=1)
        else:
            draw.polygon(points, outline=1, fill=1)
        label[np.array(mask, bool)] = ids[it["label"]]
    return label


def test_shapes_are_drawn_as_by_labelme(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    shapes = []
    for number in range(30):
        kind = ("polygon", "circle", "rectangle")[number % 3]
        points = draw.uniform(-3, 45, (5 if kind == "polygon" else 2, 2))
        points[-1] = draw.uniform(5, 35, 2)
        if kind == "rectangle":
            points.sort(0)
        shapes.append(shape(("cat", "dog")[number % 2], kind, *points.tolist()))
    put(tmp_path, "a", shapes)
    np.testing.assert_array_equal(read(tmp_path), as_labelme(shapes, {"cat": 1, "dog": 2}))


def test_labels_txt_with_ignored_shapes(tmp_path: Path) -> None:
    """As labelme's own examples have it; without it, classes are the sorted labels."""
    shapes = [
        shape("dog", "rectangle", [0, 0], [9, 9]),
        shape("__ignore__", "rectangle", [0, 0], [4, 9]),
        shape("_background_", "rectangle", [0, 5], [9, 9]),
    ]
    put(tmp_path, "a", shapes)
    assert LabelMe(tmp_path).classes.names == ("background", "dog")
    put_text(tmp_path / "labels.txt", "__ignore__", "_background_", "dog", "cat")
    assert LabelMe(tmp_path).classes.names == ("_background_", "dog", "cat")
    label = read(tmp_path)
    assert (label[2, 2], label[2, 7]) == (255, 1)
    assert label[5:].max() == 0
    (tmp_path / "labels.txt").unlink()
    put_text(tmp_path / "classes.yaml", "names: [cat, dog]")
    label = read(tmp_path)  # neither class is the background: pixels without a shape are ignored
    assert (label[2, 7], label[7, 7], label[30, 30]) == (1, 255, 255)


def test_masks_and_shapes_without_a_type(tmp_path: Path) -> None:
    mask = np.array([[1, 0, 1], [0, 1, 0]])
    shapes = [
        shape("cat", "mask", [4, 5], [6, 6], mask=bitmap_text(mask)),
        {"label": "cat", "points": [[20, 20], [22, 20], [22, 22], [20, 22]]},
        shape("cat", "rectangle", [30, 30], [32, 30], [32, 32], [30, 32]),
    ]
    put(tmp_path, "a", shapes)
    expected = np.zeros(SIZE, np.uint8)
    expected[5:7, 4:7] = mask
    expected[20:23, 20:23] = expected[30:33, 30:33] = 1
    np.testing.assert_array_equal(read(tmp_path), expected)


@pytest.mark.parametrize("folder", ["", "labels/"])
@pytest.mark.parametrize("named", ["a.png", "..\\photos\\a.png", "gone/b.png"])
def test_a_file_belongs_to_the_image_of_its_stem(tmp_path: Path, folder: str, named: str) -> None:
    put_scene(tmp_path / "photos/a.png", 0)
    path = tmp_path / f"{folder or 'photos/'}a.json"
    put_json(path, labelme_file(named, [shape("cat", "rectangle", [0, 0], [1, 1])]))
    put_json(tmp_path / "a_json/settings.json", {"zoom": 3})
    put_scene(
        tmp_path / f"{folder or 'photos/'}a_json/img.png", 0
    )  # `labelme_export_json` wrote it
    source = LabelMe(tmp_path)
    (entry,) = source.entries()
    assert (entry.name, entry.label) == ("photos/a", path)
    assert "settings.json" in source.notes[0]


def test_folders_may_be_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        put_scene(tmp_path / "images" / split / "a.png", 0)
        shapes = [shape("cat", "rectangle", [0, 0], [1, 1])]
        put_json(tmp_path / "labels" / split / "a.json", labelme_file("a.png", shapes))
    (sample,) = LabelMe(tmp_path).samples("val")
    assert (sample.name, sample.label) == ("images/val/a", tmp_path / "labels/val/a.json")


def test_wrong_files_are_named(tmp_path: Path) -> None:
    put(tmp_path, "a", [shape("cat", "rectangle", [0, 0], [1, 1])])
    put_scene(tmp_path / "b.png", 0)
    with pytest.raises(UserError, match=r"[ab].png has no JSON file; save it in labelme"):
        LabelMe(tmp_path, folds=2).samples("train") + LabelMe(tmp_path).samples("val")
    put_json(tmp_path / "c.json", labelme_file("lost.png", []))
    with pytest.raises(UserError, match=r"c.json: imagePath is \"lost.png\"; there is no such"):
        LabelMe(tmp_path).entries()
    put_json(tmp_path / "c.json", labelme_file("a.png", []))
    with pytest.raises(UserError, match=r"a.json and .*c.json both label .*a.png; keep one"):
        LabelMe(tmp_path).entries()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (shape("cow", "polygon", [0, 0], [1, 1], [2, 0]), r"\[0\].label is \"cow\"; the classes"),
        (shape("cat", "line", [0, 0], [1, 1]), r"shape_type is \"line\"; draw it as a polygon"),
        (shape("cat", "polygon", [0, 0], [1, 1]), r"shapes\[0\].points .* at least 3 points"),
        (shape("cat", "circle", [0, 0], [1, 1], [2, 0]), r"points .* and 2 of a circle"),
        (shape("cat", "polygon", [0, 0], [1, 1], [2]), r"points .* two numbers each"),
        (shape("cat", "rectangle", [60, 60], [70, 70]), r"inside of the image, which is 52×40"),
        (shape("cat", "rectangle", [6, 6], [700, 700]), r"inside of the image, which is 52×40"),
        (shape("cat", "mask", [0, 0], [1, 1]), r"shapes\[0\].mask is missing; give a text"),
        (shape("cat", "mask", [0, 0], [1, 1], mask="a,b"), r"mask is \"a,b\"; give a gray PNG"),
        (
            shape("cat", "mask", [0, 0], [1, 1], mask=bitmap_text(np.ones((3, 2)))),
            r"points .* give the corners of its mask, 2×3 pixels",
        ),
        (
            shape("cat", "mask", [0, 0], [98, 98], mask=bitmap_text(np.ones((99, 99)))),
            r"mask is .* not larger than the image",
        ),
    ],
)
def test_wrong_shapes_are_named(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    put_text(tmp_path / "labels.txt", "cat")
    path = put(tmp_path, "a", [wrong])
    with pytest.raises(UserError, match=message) as refused:
        read(tmp_path)
    assert str(refused.value).startswith(f"{path}: shapes[0]")


def test_the_size_is_that_of_the_image_where_none_is_given(tmp_path: Path) -> None:
    path = put(tmp_path, "a", [shape("cat", "rectangle", [0, 0], [1, 1])])
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, "imageHeight": None, "imageWidth": None}))
    assert read(tmp_path).shape == SIZE
    path.write_text(json.dumps({**value, "imageHeight": 10**8, "imageWidth": 10**8}))
    with pytest.raises(UserError, match="GiB of memory are missing"):
        read(tmp_path)
