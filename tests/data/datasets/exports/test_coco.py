from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_writers import SIZE, coco_file, label, put_json, put_scene
from layouts import put_text
from pycocotools import mask

from pspnet.data import COCO
from pspnet.data.datasets.base import Split
from pspnet.data.datasets.exports.json_fields import Field
from pspnet.data.datasets.exports.runs import draw_runs, read_runs
from pspnet.errors import UserError

SPLITS: dict[Split, range] = {"train": range(0, 3), "val": range(3, 5), "test": range(5, 6)}
LAYOUTS = {
    "coco": ("annotations/instances_{}2017.json", "images/{}2017"),
    "coco at the top": ("annotations/instances_{}2014.json", "{}2014"),
    "cvat": ("annotations/instances_{}.json", "images"),
    "roboflow": ("{}/_annotations.coco.json", "{}"),
}


def put(root: Path, folder: str = "images", file: str = "annotations/instances_default.json",
        numbers: range = range(2), **changes: Any) -> Path:  # fmt: skip
    for number in numbers:
        put_scene(root / folder / f"s{number}.png", number)
    return put_json(root / file, coco_file(numbers) | changes)


def read(root: Path) -> np.ndarray:
    put_text(root / "train.txt", "s1")
    put_text(root / "val.txt", "s0")
    source = COCO(root)
    (sample,) = source.samples("val")
    return source.read_label(sample)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path: Path, layout: str) -> None:
    file, images = LAYOUTS[layout]
    for split, numbers in SPLITS.items():
        folder = "valid" if (layout, split) == ("roboflow", "val") else split
        put(tmp_path, images.format(folder), file.format(folder), numbers)
    source = COCO(tmp_path)
    for split, numbers in SPLITS.items():
        samples = source.samples(split)
        assert [sample.image.stem for sample in samples] == [f"s{number}" for number in numbers]
        for number, sample in zip(numbers, samples, strict=True):
            np.testing.assert_array_equal(source.read_label(sample), label(number))


@pytest.mark.parametrize(
    ("file", "images", "prefix"),
    [
        ("result.json", ".", "images/"),  # Label Studio names the folder in the file
        ("labels.json", "data", ""),
        ("_annotations.coco.json", ".", ""),
    ],
)
def test_single_files(tmp_path: Path, file: str, images: str, prefix: str) -> None:
    value = coco_file(range(2))
    for number, it in enumerate(value["images"]):
        it["file_name"] = f"{prefix}s{number}.png"
        put_scene(tmp_path / images / it["file_name"], number)
    put_json(tmp_path / file, value)
    source = COCO(tmp_path)
    samples = [*source.samples("train"), *source.samples("val")]
    assert {sample.name for sample in samples} == {f"{prefix}s0", f"{prefix}s1"}


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_the_name_of_the_root_is_no_split(tmp_path: Path, name: str) -> None:
    put(tmp_path / name, file="result.json")
    source = COCO(tmp_path / name, val_fraction=0.5)
    found = [sample.name for split in ("train", "val") for sample in source.samples(split)]
    assert sorted(found) == ["s0", "s1"]


def test_polygons_and_run_lengths_are_those_of_pycocotools(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    expected, annotations = np.zeros(SIZE, np.uint8), []
    for number in range(60):
        category = int(draw.integers(1, 3))
        if number % 2:
            polygons = draw.uniform(-4, 56, (int(draw.integers(1, 3)), 10)).tolist()
            segmentation: object = polygons
            pixels = mask.decode(mask.merge(mask.frPyObjects(polygons, *SIZE)))
        else:
            pixels = (draw.random(SIZE) < draw.random() ** 4).astype(np.uint8)
            text = mask.encode(np.asfortranarray(pixels))["counts"].decode()
            segmentation = {"size": [*SIZE], "counts": text}
        expected[pixels > 0] = category
        annotations.append(
            {"image_id": 7, "category_id": 5 * category, "segmentation": segmentation}
        )
    put(tmp_path, annotations=annotations)
    np.testing.assert_array_equal(read(tmp_path), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 70_000), (300, 400)])
def test_long_run_lengths(size: tuple[int, int]) -> None:
    for pixels in (np.zeros(size, np.uint8), np.ones(size, np.uint8)):
        pixels[0, -1] = 1
        text = mask.encode(np.asfortranarray(pixels))["counts"].decode()
        columns = np.zeros(pixels.size, np.uint8)
        draw_runs(columns, read_runs(Field(Path(), {"size": [*size], "counts": text}), size), 1)
        np.testing.assert_array_equal(columns.reshape(size[::-1]).T, pixels)


def test_supercategories_without_annotations_are_no_classes(tmp_path: Path) -> None:
    categories = [
        {"id": 0, "name": "animals", "supercategory": "none"},
        {"id": 5, "name": "cat", "supercategory": "animals"},
        {"id": 10, "name": "dog", "supercategory": "animals"},
        {"id": 11, "name": "cow", "supercategory": "animals"},
    ]
    put(tmp_path, categories=categories)
    source = COCO(tmp_path)
    assert source.classes.names == ("background", "cat", "dog", "cow")
    source.samples("train")
    assert source.notes == ["animals: only a supercategory of others, and no class"]
    categories[0]["name"] = "Background"
    put(tmp_path, categories=categories)
    assert COCO(tmp_path).classes.names == ("Background", "cat", "dog", "cow")
    np.testing.assert_array_equal(read(tmp_path), label(0))


def test_images_without_annotations_are_background(tmp_path: Path) -> None:
    put(tmp_path, annotations=coco_file(range(1, 2))["annotations"])
    assert read(tmp_path).max() == 0


ANNOTATION = {"image_id": 7, "category_id": 5}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"segmentation": []}, r"segmentation is \[\]; a box alone is no segmentation"),
        ({}, r"segmentation is missing; a box alone"),
        ({"segmentation": [[1, 2, 3, 4]]}, r"segmentation\[0\] .* at least 3 points"),
        ({"segmentation": [1, 2, 3, 4, 5, 6]}, r"segmentation\[0\] is 1; give at least 3 points"),
        ({"segmentation": [[1, 2, 3, 4, 5, "x"]]}, r"two numbers each"),
        ({"segmentation": [[1, 2, 3, 4, 1e9, 5]]}, r"inside of the image, which is 52×40"),
        ({"segmentation": {"size": [52, 40], "counts": [2080]}}, r"size .* image is \[40, 52\]"),
        ({"segmentation": {"size": [40, 52], "counts": [10, 5]}}, r"of 2080 pixels in total"),
        ({"segmentation": {"size": [40, 52], "counts": "0P"}}, r"of 2080 pixels in total"),
        ({"segmentation": {"size": [40, 52], "counts": "é"}}, r"of 2080 pixels in total"),
        ({"segmentation": {"size": [40, 52], "counts": "o" * 99}}, r"of 2080 pixels in total"),
        ({"image_id": 99}, r"image_id is 99; no image has this id"),
        ({"category_id": 99}, r"category_id is 99; no category has this id"),
    ],
)
def test_wrong_annotations_are_named(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    path = put(tmp_path, annotations=[ANNOTATION | wrong])
    with pytest.raises(UserError, match=message) as refused:
        read(tmp_path)
    assert str(refused.value).startswith(f"{path}: annotations[0].")


def test_files_that_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no annotations/instances_\*.json, train/_annot"):
        COCO(tmp_path).samples("train")
    put(tmp_path, file="annotations/instances_train.json")
    put(tmp_path, file="annotations/instances_train2017.json")
    with pytest.raises(UserError, match="are of the train split; keep one"):
        COCO(tmp_path).samples("train")
    (tmp_path / "annotations/instances_train2017.json").unlink()
    other = [{"id": 5, "name": "dog"}, {"id": 10, "name": "cat"}]
    put(tmp_path, file="annotations/instances_val.json", numbers=range(3, 5), categories=other)
    with pytest.raises(UserError, match=r"categories\[0\].name is \"dog\"; category 5 is 'cat'"):
        COCO(tmp_path).samples("train")
    (tmp_path / "annotations/instances_val.json").unlink()
    images = coco_file(range(2))["images"]
    images[1]["id"] = images[0]["id"]
    put(tmp_path, file="annotations/instances_train.json", images=images)
    with pytest.raises(UserError, match=r"images\[1\].id is 7; give each image a number of its"):
        COCO(tmp_path).samples("train")
    images[1] |= {"id": 8, "file_name": "../s1.png"}
    put(tmp_path, file="annotations/instances_train.json", images=images)
    with pytest.raises(UserError, match=r"file_name is \"../s1.png\"; give a path below"):
        COCO(tmp_path).samples("train")
