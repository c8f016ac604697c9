from pathlib import Path

import numpy as np
import pytest
from layouts import labels, put_image
from PIL import Image

from pspnet.data.datasets.ade20k import ADE20K
from pspnet.data.datasets.ade20k_full import ADE20KFull
from pspnet.errors import UserError

STREET = "images/ADE/training/urban/street"
# some objects of ADE_train_00016869 by the numbers in its JSON file, and their classes
OBJECTS = {
    2836: "traffic light", 401: "car", 2380: "signboard", 64: "ashcan", 1831: "person",
    312: "building", 2377: "sidewalk", 2855: "tree",
}  # fmt: skip
NO_CLASSES = (0, 1279, 3050, 461)  # nothing, housing, a window of a building, central reservation


def put_objects(path: Path, *objects: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = np.array([objects])
    pixels = np.stack([numbers // 256 * 10, numbers % 256, numbers * 7 % 256], -1)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def make(root: Path, *objects: int) -> Path:
    for folder, name in ((STREET, "train_00016869"), ("images/ADE/validation/a/b", "val_00000001")):
        put_image(root / f"{folder}/ADE_{name}.jpg", size=(1, len(objects)))
        put_objects(root / f"{folder}/ADE_{name}_seg.png", *objects)
        put_image(root / f"{folder}/ADE_{name}_parts_1.png")
        put_image(root / f"{folder}/ADE_{name}/instance_000_ADE_{name}.png")
    return root


@pytest.mark.parametrize("folder", ["", "ADE20K_2021_17_01"])
def test_objects_are_read_as_the_150_classes(tmp_path: Path, folder: str) -> None:
    make(tmp_path / folder, *OBJECTS, *NO_CLASSES)
    assert ADE20KFull.recognizes(tmp_path)
    assert not ADE20KFull.recognizes(tmp_path / "images")
    source = ADE20KFull(tmp_path)
    (sample,) = source.samples("train")
    assert sample.name == "ADE_train_00016869"
    names = source.classes.names
    read = source.read_label(sample)
    assert read.tolist() == [[*map(names.index, OBJECTS.values()), *[255] * len(NO_CLASSES)]]
    assert [it.name for it in source.samples("val")] == ["ADE_val_00000001"]
    assert source.label_code.key != ADE20K(tmp_path).label_code.key


def test_every_class_has_an_object(tmp_path: Path) -> None:
    make(tmp_path, *range(3689))
    assert labels(ADE20KFull(tmp_path), "train") == [[*range(150), 255]]


def test_other_files_are_refused(tmp_path: Path) -> None:
    source = ADE20KFull(make(tmp_path, 1, 3689))
    with pytest.raises(UserError, match=r"_seg.png names the object 3689, but .* has 3688"):
        labels(source, "train")
    Image.new("L", (4, 4)).save(tmp_path / f"{STREET}/ADE_train_00016869_seg.png")
    with pytest.raises(UserError, match=r"_seg.png is no PNG in RGB"):
        labels(source, "train")
    (tmp_path / f"{STREET}/ADE_train_00016869.jpg").rename(tmp_path / f"{STREET}/ADE_a.jpg")
    with pytest.raises(UserError, match=r"ADE_a_seg.png is missing"):
        source.samples("train")
    with pytest.raises(UserError, match="no test split"):
        source.samples("test")
