from pathlib import Path

import pytest
from layouts import labels, put_image, put_label

from pspnet.data.datasets.file_lists import FileLists
from pspnet.errors import Findings, UserError


def make(root: Path, *, train: str = "", test: str = "") -> FileLists:
    """Lists as semseg has them, of images whose labels have other names and folders."""
    for stem in ("a", "b c"):
        put_image(root / f"left/train/{stem}_left.png")
        put_label(root / f"fine/train/{stem}_ids.png", [0, 1, 255])
    (root / "names.txt").write_text("road\ntraffic light\n")
    lines = "left/train/a_left.png fine/train/a_ids.png\n"
    lines += "/left/train/b c_left.png\t/fine/train/b c_ids.png\n"
    (root / "train.txt").write_text(train or lines)
    (root / "test.txt").write_text(test or "left/train/a_left.png\n")
    lists = {"train_list": root / "train.txt", "test_list": root / "test.txt"}
    return FileLists(root, **lists, names=root / "names.txt")


def test_images_and_labels_are_those_of_the_lines(tmp_path: Path) -> None:
    source = make(tmp_path)
    first, second = source.samples("train")
    assert (first.name, second.name) == ("left/train/a_left", "left/train/b c_left")
    assert second.label == tmp_path / "fine/train/b c_ids.png"
    assert labels(source, "train") == [[0, 1, 255]] * 2
    (unlabeled,) = source.samples("test")
    assert (unlabeled.image, unlabeled.label) == (first.image, None)
    assert source.classes.names == ("road", "traffic light")


def test_paths_may_lead_out_of_the_root(tmp_path: Path) -> None:
    make(tmp_path, train="../left/train/a_left.png ../fine/train/a_ids.png")
    (tmp_path / "root").mkdir()
    lists = {"train_list": tmp_path / "train.txt", "names": tmp_path / "names.txt"}
    (sample,) = FileLists(tmp_path / "root", **lists).samples("train")
    assert sample.image.resolve() == tmp_path / "left/train/a_left.png"
    assert ".." not in sample.name


def test_colors_are_those_of_the_file(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "colors.txt").write_text("128 64 128\n250 170 30\n")
    options = {"names": tmp_path / "names.txt", "colors": tmp_path / "colors.txt"}
    assert FileLists(tmp_path, **options).classes.colors == ((128, 64, 128), (250, 170, 30))
    (tmp_path / "colors.txt").write_text("128 64 128\n")
    with pytest.raises(UserError, match=r"has 1 colors, but .*names.txt has 2 classes"):
        _ = FileLists(tmp_path, **options).classes


def test_classes_may_be_those_of_a_class_file(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "classes.yaml").write_text("names: [road, light]\nvalues: {0: road, 7: light}\n")
    put_label(tmp_path / "fine/train/a_ids.png", [0, 7, 255])
    put_label(tmp_path / "fine/train/b c_ids.png", [7])
    source = FileLists(tmp_path, train_list=tmp_path / "train.txt")
    assert labels(source, "train") == [[0, 1, 255], [1]]
    assert source.train_ids()[[0, 7, 255]].tolist() == [0, 1, 255]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("left/train/a_left.png", "names no label of 'left/train/a_left.png'"),
        ("left/train/z.png fine/train/a_ids.png", "no such image; write paths below"),
        ("left/train/a_left.png fine/train/z.png", r"z.png is missing: expected the label of"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(Findings, match=message):
        make(tmp_path, train=line).samples("train")


def test_missing_lists_and_names_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.source.val_list is missing: give the list of val"):
        make(tmp_path).samples("val")
    with pytest.raises(UserError, match="needs the classes' names too; give names=FILE"):
        FileLists(tmp_path, colors="colors.txt")
