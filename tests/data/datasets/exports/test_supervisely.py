from __future__ import annotations

import base64
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_writers import SIZE, bitmap_text, put_json, put_scene, write_supervisely

from pspnet.data import Supervisely
from pspnet.errors import UserError


def put(root: Path, *objects: dict[str, Any]) -> Path:
    write_supervisely(root, count=2)
    size = {"height": SIZE[0], "width": SIZE[1]}
    return put_json(root / "pets/ann/s1.png.json", {"size": size, "objects": [*objects]})


def read(root: Path) -> np.ndarray:
    source = Supervisely(root)
    (sample,) = source.samples("val")
    return source.read_label(sample)


def polygon(exterior: object, *interior: object) -> dict[str, Any]:
    points = {"exterior": exterior, "interior": [*interior]}
    return {"classTitle": "cat", "geometryType": "polygon", "points": points}


def bitmap(text: object, *origin: int) -> dict[str, Any]:
    data = {"data": text, "origin": [*origin]}
    return {"classTitle": "cat", "geometryType": "bitmap", "bitmap": data}


def square(low: float, high: float) -> list[list[float]]:
    return [[low, low], [high, low], [high, high], [low, high]]


def test_holes_leave_what_is_below(tmp_path: Path) -> None:
    points = {"exterior": [[0, 0], [12, 12]], "interior": []}
    below = {"classTitle": "dog", "geometryType": "rectangle", "points": points}
    put(tmp_path, below, polygon(square(2, 20), square(5, 8), square(14.2, 15.6)))
    expected = np.zeros(SIZE, np.uint8)
    expected[:13, :13] = 2
    hole = expected[5:9, 5:9].copy()
    expected[2:21, 2:21] = 1
    expected[5:9, 5:9] = hole
    expected[14:17, 14:17] = 0
    np.testing.assert_array_equal(read(tmp_path), expected)


@pytest.mark.parametrize("deflate", [True, False])
@pytest.mark.parametrize("palette", [True, False])
def test_bitmaps(tmp_path: Path, deflate: bool, palette: bool) -> None:
    mask = np.array([[1, 0, 1], [0, 1, 0]])
    put(tmp_path, bitmap(bitmap_text(mask, deflate=deflate, palette=palette), 4, 7))
    expected = np.zeros(SIZE, np.uint8)
    expected[7:9, 4:7] = mask
    np.testing.assert_array_equal(read(tmp_path), expected)


def test_classes_are_those_of_the_project(tmp_path: Path) -> None:
    put(tmp_path)
    classes = Supervisely(tmp_path).classes
    assert classes.names == ("background", "cat", "dog")
    assert classes.colors == ((0, 0, 0), (200, 0, 0), (0, 0, 200))
    titles = [{"title": title, "color": "#010203"} for title in ("dog", "bg", "Background")]
    put_json(tmp_path / "meta.json", {"classes": titles})
    source = Supervisely(tmp_path)
    assert source.classes.names == ("dog", "bg", "Background")
    assert source.background == 2


def test_data_sets_may_be_splits_and_nested(tmp_path: Path) -> None:
    write_supervisely(tmp_path, count=2)
    for name in ("train.txt", "val.txt"):
        (tmp_path / name).unlink()
    (tmp_path / "valid/datasets").mkdir(parents=True)
    put_json(tmp_path / "train/ann/s1.png.json", {})
    put_scene(tmp_path / "train/img/s1.png", 1)
    (tmp_path / "pets").rename(tmp_path / "valid/datasets/pets")
    source = Supervisely(tmp_path)
    assert [it.name for it in source.samples("train")] == ["train/s1"]
    names = [it.name for it in source.samples("val")]
    assert names == ["valid/datasets/pets/s0", "valid/datasets/pets/s1"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (bitmap("a,b", 0, 0), r"bitmap.data is \"a,b\"; give a gray PNG in base64"),
        (bitmap(base64.b64encode(zlib.compress(b"GIF89a")).decode(), 0, 0), "gray PNG in base64"),
        (bitmap(bitmap_text(np.ones((3, 3)))[:60], 0, 0), "gray PNG in base64"),
        (bitmap(bitmap_text(np.ones((3, 3))), 50, 0), r"origin is \[50, 0\]; give a bitmap in"),
        (bitmap(bitmap_text(np.ones((99, 99))), 0, 0), "not larger than the image"),
        (polygon(square(2, 9)[:2]), r"points.exterior .* at least 3 points"),
        (polygon(square(2, 9), [[3, 3]]), r"points.interior\[0\] .* at least 3 points"),
        (polygon(square(70, 90)), "inside of the image, which is 52×40"),
        (polygon(square(2, 9)) | {"geometryType": "polyline"}, r"\"polyline\"; draw it as a pol"),
        (polygon(square(2, 9)) | {"classTitle": "cow"}, r"\"cow\"; meta.json has the classes"),
    ],
)
def test_wrong_objects_are_named(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    path = put(tmp_path, wrong)
    with pytest.raises(UserError, match=message) as refused:
        read(tmp_path)
    assert str(refused.value).startswith(f"{path}: objects[0].")


def test_a_bitmap_that_inflates_far_beyond_the_image_takes_no_memory(tmp_path: Path) -> None:
    stream = zlib.compressobj(9)
    bomb = b"".join(stream.compress(bytes(10**6)) for _ in range(60)) + stream.flush()
    put(tmp_path, bitmap(base64.b64encode(bomb).decode(), 0, 0))
    tracemalloc.start()
    with pytest.raises(UserError, match="gray PNG in base64"):
        read(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10**7


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder with img/ and ann/"):
        Supervisely(tmp_path).samples("train")
    put(tmp_path)
    (tmp_path / "pets/img/s1.png").unlink()
    with pytest.raises(UserError, match=r"ann/s1.png.json has no image; download the images, too"):
        Supervisely(tmp_path).samples("train")
    put_scene(tmp_path / "pets/img/s1.png", 1)
    (tmp_path / "pets/ann/s1.png.json").unlink()
    with pytest.raises(UserError, match=r"img/s1.png has no label"):
        Supervisely(tmp_path).samples("val")
    (tmp_path / "meta.json").unlink()
    with pytest.raises(UserError, match=r"meta.json is missing: expected the classes"):
        _ = Supervisely(tmp_path).classes
