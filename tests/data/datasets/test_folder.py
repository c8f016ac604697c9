from pathlib import Path

import numpy as np
import pytest
from layouts import labels, put_image, put_label, put_text

from pspnet.data.datasets.base import Source, Split
from pspnet.data.datasets.folder import Folder, default_colors, read_classes
from pspnet.errors import UserError

STEMS = [f"{folder}{number:02}" for folder in ("", "x/", "x/y/") for number in range(10)]


def make(root: Path, stems: list[str] = STEMS) -> Path:
    put_text(root / "classes.yaml", "names: [background, cat, dog]", "ignore: [9]")
    for stem in stems:
        put_image(root / f"images/{stem}.jpg")
        put_label(root / f"masks/{stem}.png", [0, 2, 9, 255])
    return root


def names(source: Source, split: Split) -> list[str]:
    return [sample.name for sample in source.samples(split)]


# splits


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.001, 0.999])
def test_every_image_is_in_one_split(tmp_path: Path, fraction: float) -> None:
    source = Folder(make(tmp_path), val_fraction=fraction)
    train, val = names(source, "train"), names(source, "val")
    assert sorted(train + val) == sorted(STEMS)
    assert len(val) == {0.2: 6, 0.5: 15, 0.001: 1, 0.999: 29}[fraction]
    assert labels(source, "val") == [[0, 2, 255]] * len(val)
    with pytest.raises(UserError, match=r"test.txt is missing"):
        source.samples("test")


def test_division_depends_on_the_seed_alone(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b", STEMS[::-1])
    val = names(Folder(tmp_path / "a"), "val")
    assert val == sorted(names(Folder(tmp_path / "b"), "val"))
    assert val != names(Folder(tmp_path / "a", seed=1), "val")
    make(tmp_path / "a", ["new"])
    assert len(set(val) & set(names(Folder(tmp_path / "a"), "val"))) >= len(val) - 1


def test_lists(tmp_path: Path) -> None:
    make(tmp_path)
    put_text(tmp_path / "train.txt", "x/01", "00")
    put_text(tmp_path / "val.txt", "x/y/02")
    source = Folder(tmp_path)
    assert names(source, "train") == ["x/01", "00"]
    (sample,) = source.samples("val")
    assert sample.image == tmp_path / "images/x/y/02.jpg"
    assert sample.label == tmp_path / "masks/x/y/02.png"


def test_test_list_is_held_out_of_the_division(tmp_path: Path) -> None:
    make(tmp_path)
    put_text(tmp_path / "test.txt", *STEMS[:20])
    source = Folder(tmp_path)
    assert names(source, "test") == STEMS[:20]
    assert sorted(names(source, "train") + names(source, "val")) == STEMS[20:]


def test_test_split_without_any_mask_has_no_labels(tmp_path: Path) -> None:
    make(tmp_path)
    put_text(tmp_path / "test.txt", "t", "u")
    for stem in "tu":
        put_image(tmp_path / f"images/{stem}.WEBP")
    assert [sample.label for sample in Folder(tmp_path).samples("test")] == [None, None]
    put_label(tmp_path / "masks/t.png")
    with pytest.raises(UserError, match=r"masks/u.png is missing: expected the label of"):
        Folder(tmp_path).samples("test")


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".bmp", ".tif", ".tiff", ".webp"])
def test_suffixes(tmp_path: Path, suffix: str) -> None:
    make(tmp_path, ["a", "b.1"])
    (tmp_path / "images/a.jpg").unlink()
    put_image(tmp_path / f"images/a{suffix}")
    (tmp_path / "images/._a.jpg").touch()  # as macOS leaves them
    (tmp_path / "images/Thumbs.db").touch()
    source = Folder(tmp_path)
    assert sorted(names(source, "train") + names(source, "val")) == ["a", "b.1"]
    assert labels(source, "train") == [[0, 2, 255]]


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", ["a", "b"])
    make(tmp_path, ["c"])
    for folder in ("images", "masks"):
        (tmp_path / folder / "linked").symlink_to(tmp_path / "elsewhere" / folder)
    source = Folder(tmp_path)
    found = names(source, "train") + names(source, "val")
    assert sorted(found) == ["c", "linked/a", "linked/b"]


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"images is missing"):
        Folder(tmp_path).samples("train")
    make(tmp_path, ["a"])
    with pytest.raises(UserError, match=r"images has 1 images .* at least 2 are needed"):
        Folder(tmp_path).samples("train")
    make(tmp_path, ["a", "s/b"])
    source = Folder(tmp_path, val_fraction=0.5)
    put_label(tmp_path / "masks/s/stray.png")
    with pytest.raises(UserError, match=r"masks/s/stray.png has no image .*images/s/stray \("):
        source.samples("val")
    (tmp_path / "masks/s/stray.png").rename(tmp_path / "masks/s/b.png")
    put_image(tmp_path / "images/s/b.png")
    with pytest.raises(UserError, match=r"s/b.jpg and .*s/b.png have one stem"):
        source.samples("val")
    (tmp_path / "images/s/b.png").unlink()
    for mask in ("a", "s/b"):
        (tmp_path / f"masks/{mask}.png").unlink()
    with pytest.raises(UserError, match=r"masks/.*.png is missing: expected the label of"):
        source.samples("val")


def test_wrong_lists_are_named(tmp_path: Path) -> None:
    source = Folder(make(tmp_path))
    put_text(tmp_path / "train.txt", "00", "01.jpg")
    with pytest.raises(UserError, match=r"val.txt is missing: .*both or neither"):
        source.samples("train")
    put_text(tmp_path / "val.txt", "02")
    with pytest.raises(UserError, match=r"train.txt names '01.jpg', but .*without suffix"):
        source.samples("train")
    put_text(tmp_path / "train.txt", "00", "00")
    with pytest.raises(UserError, match=r"train.txt names '00' 2 times"):
        source.samples("train")
    put_text(tmp_path / "train.txt", "00", "02")
    for split in ("train", "val"):
        with pytest.raises(UserError, match=r"train.txt names '02', as do the images to be meas"):
            source.samples(split)
    put_text(tmp_path / "val.txt", "03")
    put_text(tmp_path / "test.txt", "02", "03")
    with pytest.raises(UserError, match=r"train.txt names '02', as do the images to be measured"):
        source.samples("test")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 20.0, float("nan")])
def test_fraction_is_checked_at_construction(fraction: float) -> None:
    with pytest.raises(UserError, match=f"val_fraction={fraction}: give a share"):
        Folder(val_fraction=fraction)


# classes


def test_all_keys(tmp_path: Path) -> None:
    path = put_text(
        tmp_path / "classes.yaml",
        "names: [background, cat, dog]",
        "colors: [[0, 0, 0], [200, 0, 0], [0, 0, 255]]",
        "groups: {animals: [cat, dog]}",
        "ignore: [9, 1]",
    )
    classes, ignore = read_classes(path)
    assert classes.names == ("background", "cat", "dog")
    assert classes.colors == ((0, 0, 0), (200, 0, 0), (0, 0, 255))
    assert classes.groups == {"animals": ("cat", "dog")}
    assert ignore == [9, 1]
    expected = [0, 255, 2] + [-1] * 6 + [255] + [-1] * 245 + [255]
    np.testing.assert_array_equal(Folder(tmp_path).train_ids(), expected)
    assert Folder(tmp_path).classes == classes


def test_default_colors_are_distinct() -> None:
    colors = {tuple(color) for color in default_colors(255)}
    assert len(colors) == 255
    assert (0, 0, 0) not in colors
    assert all(0 <= channel <= 255 for color in colors for channel in color)
    assert default_colors(3) == [[128, 0, 0], [0, 128, 0], [128, 128, 0]]  # VOC's own 1, 2, 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("names: [a, b", "is no YAML, line 2: expected ',' or ']'"),
        ("names: [a]\n\tx: 1", "is no YAML, line 2"),
        ("a\x00b", "is no YAML"),
        ("", "has no names; write them as"),
        ("- a\n- b", "has no names; write them as"),
        (
            "names: [a]\ncolors: []\nidx: 1",
            r"unknown keys \['colors', 'idx'\]; known: names, col",
        ),
        ("names: a", "names: 'a' is given; give a list of texts"),
        ("names: [yes, no]", r"names: \[True, False\] is given; give a list of texts \(in quotes"),
        ("names: []", "0 classes: give 1 to 255"),
        ("names: [a, b, a]", r"class names \['a'\] stand more than once"),
        ("names: [a]\ncolors: [[0, 256, 0]]", r"colors: \[\[0, 256, 0\]\] is given; .* 0 to 255"),
        ("names: [a, b]\ncolors: [[0, 0, 0], [0, 0]]", r"colors: \[\[0, 0\]\] is given"),
        ("names: [a]\ncolors: {a: [0, 0, 0]}", r"colors: \{'a': \[0, 0, 0\]\} is given"),
        ("names: [a]\ncolors: [red]", r"colors: \['red'\] is given"),
        ("names: [a]\ncolors: [[0, 0, 0], [1, 1, 1]]", "2 colors for 1 classes"),
        ("names: [a]\ngroups: [a]", r"groups: \['a'\] is given; give a list of class names for"),
        ("names: [a]\ngroups: {g: a}", r"groups: \['a'\] is given; give a list of class"),
        ("names: [a]\ngroups: {g: [z]}", r"group 'g' names \['z'\], which are not classes"),
        ("names: [a]\ngroups: {1: [a]}", r"groups: \[1\] is given; give a list of class names for"),
        ("names: [a]\ngroups: {g: [1]}", r"groups: \[\[1\]\] is given"),
        ("names: [a]\nignore: 9", "ignore: 9 is given; give a list of values of the masks"),
        ("names: [a]\nignore: [256]", r"ignore: \[256\] is given"),
        ("names: [a]\nignore: [true]", r"ignore: \[True\] is given"),
    ],
)
def test_wrong_descriptions(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text(content + "\n")
    with pytest.raises(UserError, match=message) as error:
        _ = Folder(tmp_path).classes
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_missing_description(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"classes.yaml is missing: expected the names"):
        _ = Folder(tmp_path).classes
