"""Folders of one's own in the layouts of other people and tools: each read as it was meant."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from layouts import labels, put_image, put_label, put_text
from PIL import Image

from pspnet.data.datasets.base import Source, Split
from pspnet.data.datasets.folder import Folder
from pspnet.errors import Findings, UserError

YAML = "names: [background, cat, dog]"


def put_pairs(root: Path, images: str, masks: str, *names: str, suffix: str = "") -> Path:
    for name in names:
        put_image(root / images / f"{name}.jpg")
        put_label(root / masks / f"{name}{suffix}.png", [0, 1, 2])
    put_text(root / "classes.yaml", YAML)
    return root


def names(source: Source, split: Split) -> list[str]:
    return [sample.name for sample in source.samples(split)]


def both(source: Source) -> list[str]:
    return names(source, "train") + names(source, "val")


# folders that are splits


@pytest.mark.parametrize(
    ("images", "masks", "suffix"),
    [
        ("images/{}", "masks/{}", ""),
        ("imgs/{}", "labels/{}", ""),
        ("{}/images", "{}/masks", ""),
        ("{}/images", "{}/labels", ""),
        ("{}", "{}_labels", ""),
        ("{}", "{}annot", ""),
        ("{}", "{}", "_mask"),
    ],
)
@pytest.mark.parametrize("words", [("train", "val", "test"), ("training", "valid", "testing")])
def test_folders_of_splits_are_the_splits(tmp_path: Path, images, masks, suffix, words) -> None:
    for word, its in zip(words, (["a", "b"], ["a"], ["x/c"]), strict=True):
        put_pairs(tmp_path, images.format(word), masks.format(word), *its, suffix=suffix)
    source = Folder(tmp_path)
    train, val, test = words
    assert names(source, "train") == [f"{train}/a", f"{train}/b"]
    assert names(source, "val") == [f"{val}/a"]
    assert names(source, "test") == [f"{test}/x/c"]
    assert labels(source, "test") == [[0, 1, 2]]
    source.samples("train")
    assert source.origin == f"{train} and {val}"


def test_without_a_folder_to_validate_on_the_training_images_are_divided(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images/train", "masks/train", *"abcde")
    put_pairs(tmp_path, "images/test", "masks/test", *"fg")
    source = Folder(tmp_path)
    train, val = names(source, "train"), names(source, "val")
    assert sorted(train + val) == [f"train/{name}" for name in "abcde"]
    assert source.origin == "held out by val_fraction=0.2; no list or folder of the val split"
    assert names(source, "test") == ["test/f", "test/g"]


def test_folders_of_splits_beside_other_images_are_refused(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images", "masks", "train/a", "val/b", "other/c")
    with pytest.raises(UserError, match=r"images in train and val, which name splits, and others"):
        Folder(tmp_path).samples("train")
    put_text(tmp_path / "train.txt", "train/a", "val/b")
    put_text(tmp_path / "val.txt", "other/c")
    assert names(Folder(tmp_path), "train") == ["train/a", "val/b"]  # lists decide
    (tmp_path / "train.txt").unlink()
    with pytest.raises(UserError, match=r"train.txt is missing: expected a list, as val.txt holds"):
        Folder(tmp_path).samples("val")


def test_a_folder_to_validate_on_alone_is_refused(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images", "masks", "val/a", "val/b")
    with pytest.raises(UserError, match=r"train.txt is missing: expected a list, as val holds the"):
        Folder(tmp_path).samples("train")


# places of images and masks


def test_places_and_suffix_by_option(tmp_path: Path) -> None:
    put_pairs(tmp_path / "data", "pictures", "../drawn", "a", "b", suffix=".seg")
    source = Folder(tmp_path / "data", images="pictures", masks="../drawn", mask_suffix=".seg")
    assert sorted(names(source, "train") + names(source, "val")) == ["a", "b"]
    assert labels(source, "train") == [[0, 1, 2]]


def test_masks_that_may_be_in_two_places_are_refused(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images", "masks", "a", "b")
    put_label(tmp_path / "labels/a.png")
    with pytest.raises(UserError, match=r"folders masks, labels; say which .*source\.masks=masks"):
        Folder(tmp_path).samples("train")
    assert names(Folder(tmp_path, masks="masks"), "train")


def test_a_suffix_that_is_needed_is_proposed(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images", "masks", "a", "b", suffix="_mask")
    with pytest.raises(
        UserError, match=r"a_mask.png has no image .* data.source.mask_suffix=_mask"
    ):
        Folder(tmp_path).samples("train")
    assert names(Folder(tmp_path, mask_suffix="_mask"), "train")


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".npy"])
def test_a_mask_that_is_not_exact_is_named(tmp_path: Path, suffix: str) -> None:
    put_pairs(tmp_path, "images", "masks", "a", "b")
    for name in "ab":
        (tmp_path / f"masks/{name}.png").rename(tmp_path / f"masks/{name}{suffix}")
    with pytest.raises(
        Findings, match=rf"masks/.{suffix}, the label of .*, is not read; masks must"
    ):
        Folder(tmp_path).samples("train")


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".gif"])
def test_masks_of_other_exact_formats_are_read(tmp_path: Path, suffix: str) -> None:
    put_pairs(tmp_path, "images", "masks", "a", "b")
    for name in "ab":
        mask = tmp_path / f"masks/{name}.png"
        Image.open(mask).save(mask.with_suffix(suffix))
        mask.unlink()
    assert labels(Folder(tmp_path), "train") == [[0, 1, 2]]


def test_files_that_are_not_read_are_counted(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images", "masks", "a", "b")
    for name in ("images/c.heic", "images/d.heic", "masks/a.json", "images/Thumbs.db", "notes.txt"):
        (tmp_path / name).touch()
    source = Folder(tmp_path)
    source.samples("train")
    assert source.notes == [
        f"{tmp_path}: files that are not read as images or masks: 2 .heic, 1 .json",
        "notes.txt: not read, as no split is named so",
    ]


def test_every_wrong_file_is_told(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images", "masks", *"abcd")
    for name in "ab":
        (tmp_path / f"masks/{name}.png").unlink()
        put_text(tmp_path / "train.txt", "a", "b")
        put_text(tmp_path / "val.txt", "c")
    with pytest.raises(Findings) as error:
        Folder(tmp_path).samples("train")
    assert [line.split(" is missing")[0] for line in error.value.lines] == [
        str(tmp_path / f"masks/{name}.png") for name in "ab"
    ]
    assert "; 1 more of this kind" in str(error.value)


def test_names_in_either_form_of_unicode_are_one(tmp_path: Path) -> None:
    put_image(tmp_path / "images/cafe\u0301.jpg")  # as macOS stores it
    put_label(tmp_path / "masks/caf\u00e9.png", [0, 1])
    put_pairs(tmp_path, "images", "masks", "b")
    put_text(tmp_path / "train.txt", "cafe\u0301")
    put_text(tmp_path / "val.txt", "b")
    assert labels(Folder(tmp_path), "train") == [[0, 1]]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_lists_name_labels_in_either_form_of_unicode(tmp_path: Path, form: str) -> None:
    put_pairs(tmp_path, "images", "masks", "e\u0301", "b")  # as macOS stores it
    line = unicodedata.normalize(form, "images/e\u0301.jpg masks/e\u0301.png")
    put_text(tmp_path / "train.txt", line)
    put_text(tmp_path / "val.txt", "b")
    assert labels(Folder(tmp_path), "train") == [[0, 1, 2]]


def test_a_name_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images", "masks", "a", "b", "c")
    put_image(tmp_path / "images/caf\udce9.jpg")
    put_label(tmp_path / "masks/caf\udce9.png")
    with pytest.raises(Findings, match=r"names 'caf\\udce9'; give names of visible characters"):
        both(Folder(tmp_path))


# lists


@pytest.mark.parametrize("place", [".", "ImageSets/Segmentation", "splits"])
@pytest.mark.parametrize("form", ["{}.txt", "{}_list.txt"])
def test_lists_under_the_names_of_other_tools(tmp_path: Path, place: str, form: str) -> None:
    put_pairs(tmp_path, "images", "masks", "a", "b c", "x/d")
    put_text(tmp_path / place / form.format("Train"), "a", "b c")
    put_text(tmp_path / place / form.format("val"), "x/d")
    assert names(Folder(tmp_path), "train") == ["a", "b c"]
    assert names(Folder(tmp_path), "val") == ["x/d"]


def test_two_lists_of_one_split_are_refused(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images", "masks", "a", "b")
    put_text(tmp_path / "train.txt", "a")
    put_text(tmp_path / "train_list.txt", "b")
    with pytest.raises(
        UserError, match=r"train.txt and .*train_list.txt both list the train split"
    ):
        Folder(tmp_path).samples("train")


@pytest.mark.parametrize(
    "line",
    [
        "x/a b",
        "x/a b.jpg",
        "images/x/a b.jpg",
        "./images/x/a b.jpg",
        "/images/x/a b.jpg masks/x/a b.png",
        "x\\a b.jpg",
        "images/x/a b.jpg,masks/x/a b.png",
        "images/x/a b\tmasks/x/a b.png",
    ],
)
def test_lines_of_lists(tmp_path: Path, line: str) -> None:
    put_pairs(tmp_path, "images", "masks", "x/a b", "c")
    put_text(tmp_path / "train.txt", line)
    put_text(tmp_path / "val.txt", "c")
    (sample,) = Folder(tmp_path).samples("train")
    assert (sample.name, sample.label) == ("x/a b", tmp_path / "masks/x/a b.png")


def test_a_name_comes_before_another_with_its_suffix(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images", "masks", "a", "b")
    put_image(tmp_path / "images/a.jpg.png")
    put_label(tmp_path / "masks/a.jpg.png")
    put_text(tmp_path / "train.txt", "a.jpg", "a")
    put_text(tmp_path / "val.txt", "b")
    assert names(Folder(tmp_path), "train") == ["a.jpg", "a"]


def test_a_list_names_the_label_that_is_read(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images", "masks", "a", "b")
    put_label(tmp_path / "corrected/a.png", 2)
    put_text(tmp_path / "train.txt", "images/a.jpg corrected/a.png")
    put_text(tmp_path / "val.txt", "b")
    assert labels(Folder(tmp_path), "train") == [[2]]
    put_text(tmp_path / "train.txt", "images/a.jpg corrected/b.png")
    with pytest.raises(
        Findings, match=r"train.txt names the label 'corrected/b.png' of 'a', which"
    ):
        Folder(tmp_path).samples("train")


# division


def test_folds_share_out_all_images(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images", "masks", *"abcdefg")
    folds = [names(Folder(tmp_path, folds=3, fold=fold), "val") for fold in range(3)]
    assert sorted(name for fold in folds for name in fold) == [*"abcdefg"]
    assert sorted(map(len, folds)) == [2, 2, 3]
    source = Folder(tmp_path, folds=3, fold=1)
    assert sorted(names(source, "train") + folds[1]) == [*"abcdefg"]
    assert source.origin == "fold 1 of 3; no train.txt"


@pytest.mark.parametrize("options", [{}, {"folds": 2, "fold": 1}, {"val_fraction": 0.5}])
def test_groups_are_not_divided(tmp_path: Path, options: dict) -> None:
    frames = [f"{video}/{frame}" for video in ("one", "two", "three") for frame in range(4)]
    put_pairs(tmp_path, "images", "masks", *frames)
    source = Folder(tmp_path, group="^([^/]+)/", **options)
    train, val = names(source, "train"), names(source, "val")
    assert sorted(train + val) == sorted(frames)
    assert train
    assert val
    assert not {name.split("/")[0] for name in train} & {name.split("/")[0] for name in val}


def test_groups_that_lists_divide_are_refused(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images", "masks", "v1_1", "v1_2", "v2_1")
    put_text(tmp_path / "train.txt", "v1_1")
    for split, other in (("val", "test"), ("test", "val")):
        put_text(tmp_path / f"{split}.txt", "v1_2")
        put_text(tmp_path / f"{other}.txt", "v2_1")
        words = f"v1_1 is trained on, v1_2 is of the {split} split, and both are of one group"
        with pytest.raises(UserError, match=words):
            Folder(tmp_path, group="^([^_]+)").samples("train")
        assert names(Folder(tmp_path), split) == ["v1_2"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"folds": 1}, "folds=1: give at least 2"),
        ({"folds": 3, "fold": 3}, "fold=3: give 0 to folds - 1"),
        ({"fold": 1}, "fold=1: give 0 to folds - 1, with folds=None"),
        ({"group": "("}, r"group='\(' is no regular expression"),
    ],
)
def test_options_of_the_division_are_checked_at_construction(options: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Folder(**options)


def test_too_few_groups_are_refused(tmp_path: Path) -> None:
    put_pairs(tmp_path, "images", "masks", "a_1", "a_2")
    with pytest.raises(UserError, match=r"1 groups by group=.* at least 2 are needed"):
        Folder(tmp_path, group="^[^_]+").samples("train")
    with pytest.raises(UserError, match="finds nothing in the name 'a_1'"):
        Folder(tmp_path, group="x").samples("train")
    with pytest.raises(UserError, match="2 images to divide; at least 3 are needed"):
        Folder(tmp_path, folds=3).samples("train")


# files of classes


COLORS = np.array([[0, 0, 0], [250, 50, 83], [61, 245, 61]], np.uint8)


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        ("class_dict.csv", ["name,r,g,b", "background,0,0,0", "cat, 250, 50, 83", "dog,61,245,61"]),
        (
            "labelmap.txt",
            [
                "# label:color_rgb:parts:actions",
                "background:0,0,0::",
                "cat:250,50,83::",
                "dog:61,245,61::",
            ],
        ),
        ("label_colors.txt", ["0 0 0\tbackground", "250 50 83\tcat", "61 245 61 dog"]),
        (
            "classes.yaml",
            ["names: [background, cat, dog]", "colors: [[0,0,0],[250,50,83],[61,245,61]]"],
        ),
    ],
)
def test_masks_of_colors_by_the_files_of_tools(tmp_path: Path, file: str, lines: list[str]) -> None:
    """CVAT's segmentation mask 1.1 is labelmap.txt, JPEGImages and SegmentationClass."""
    label = np.resize(np.array([0, 1, 2, 1], np.uint8), (4, 6))
    for name in "abc":
        put_image(tmp_path / f"JPEGImages/{name}.jpg")
        path = tmp_path / f"SegmentationClass/{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(COLORS[label]).save(path)
    put_text(tmp_path / file, *lines)
    put_text(tmp_path / "ImageSets/Segmentation/default.txt", *"abc")
    source = Folder(tmp_path)
    assert source.classes.names == ("background", "cat", "dog")
    for sample in source.samples("train"):
        np.testing.assert_array_equal(source.read_label(sample), label)
    assert source.notes == []


def test_roboflows_export(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        put_pairs(tmp_path, split, split, f"{split}-1_jpg.rf.0a", suffix="_mask")
        put_text(
            tmp_path / split / "_classes.csv", "Pixel Value, Class", "0, bg", "2, dog", "1, cat"
        )
    (tmp_path / "classes.yaml").unlink()
    source = Folder(tmp_path)
    assert source.classes.names == ("bg", "cat", "dog")
    assert names(source, "train") == ["train/train-1_jpg.rf.0a"]
    assert names(source, "val") == ["valid/valid-1_jpg.rf.0a"]
    assert labels(source, "val") == [[0, 1, 2]]
    assert source.notes == []


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        ("class_dict.csv", "cat,1,2", "write name, red, green, blue, 0 to 255 each"),
        ("_classes.csv", "0,cat", "each value once"),
        ("_classes.csv", "²,cat", "write value, class"),
        ("label_colors.txt", "1 2 3", "write red green blue name"),
        ("class_dict.csv", "cat,1,2,256", "write name, red, green, blue, 0 to 255 each"),
        ("labelmap.txt", "cat", "write name:red,green,blue::"),
        ("label_colors.txt", "1 2 cat", "write red green blue name"),
        ("_classes.csv", "x,cat", "write value, class"),
    ],
)
def test_wrong_files_of_classes_are_named(tmp_path: Path, file: str, line: str, words: str) -> None:
    first = {
        "class_dict.csv": "bg,0,0,0",
        "labelmap.txt": "bg:0,0,0::",
        "label_colors.txt": "0 0 0 bg",
        "_classes.csv": "0,bg",
    }
    put_text(tmp_path / file, first.get(file, "0 0 0 bg"), line)
    with pytest.raises(UserError, match=words) as error:
        _ = Folder(tmp_path).classes
    assert str(tmp_path / file) in str(error.value)


def test_a_wrong_first_line_is_no_head_of_columns(tmp_path: Path) -> None:
    put_text(tmp_path / "class_dict.csv", "bg,0,0,300", "cat,1,2,3", "dog,4,5,6")
    with pytest.raises(UserError, match="line 'bg 0 0 300'"):
        _ = Folder(tmp_path).classes


def test_one_class_is_refused(tmp_path: Path) -> None:
    put_text(tmp_path / "class_dict.csv", "name,r,g,b", "crack,1,2,3")
    with pytest.raises(UserError, match="1 classes; name at least 2, the background among them"):
        _ = Folder(tmp_path).classes
