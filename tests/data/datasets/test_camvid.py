from pathlib import Path

import numpy as np
import pytest
from layouts import labels, put_image, put_label, put_text
from PIL import Image

from pspnet.data.datasets.camvid import CamVid, original_colors
from pspnet.errors import UserError


def make(root: Path, *, suffix: str = ".png", paths: bool = False) -> Path:
    for split, stems in {"train": ["b", "a"], "val": ["v"]}.items():
        lines = stems
        if paths:
            top = "/SegNet/CamVid"
            lines = [f"{top}/{split}/{stem}.png {top}/{split}annot/{stem}.png" for stem in stems]
        put_text(root / f"{split}.txt", *lines)
        for stem in stems:
            put_image(root / split / f"{stem}{suffix}")
            put_label(root / f"{split}annot/{stem}.png", [0, 10, 11])
    return root


@pytest.mark.parametrize("paths", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_both_kinds_of_lists(tmp_path: Path, suffix: str, paths: bool) -> None:
    source = CamVid(make(tmp_path, suffix=suffix, paths=paths))
    samples = source.samples("train")
    assert [sample.name for sample in samples] == ["b", "a"]
    assert samples[0].image == tmp_path / f"train/b{suffix}"
    assert samples[0].label == tmp_path / "trainannot/b.png"
    assert labels(source, "train") == [[0, 10, 255]] * 2
    assert labels(source, "val") == [[0, 10, 255]]


def test_train_ids() -> None:
    source = CamVid("nowhere")
    expected = [*range(11), 255] + [-1] * 243 + [255]
    np.testing.assert_array_equal(source.train_ids(), expected)
    assert (len(source.classes), source.classes.names[10]) == (11, "Bicyclist")


def test_predictions_may_hold_void_and_no_border() -> None:
    source = CamVid("nowhere")
    np.testing.assert_array_equal(source.predicted_ids(), [*range(11), 255] + [-1] * 244)
    assert source.stored_values().tolist() == list(range(11))
    assert source.server is None


def test_the_test_split_is_optional_and_has_labels(tmp_path: Path) -> None:
    source = CamVid(make(tmp_path))
    with pytest.raises(UserError, match=r"test.txt is missing"):
        source.samples("test")
    put_text(tmp_path / "test.txt", "t")
    put_image(tmp_path / "test/t.png")
    put_label(tmp_path / "testannot/t.png", 3)
    assert labels(source, "test") == [[3]]


@pytest.mark.parametrize("line", ["train/b.png", "b b", "/x/train/b.png trainannot/b.png 1"])
def test_other_lines_are_refused(tmp_path: Path, line: str) -> None:
    put_text(make(tmp_path) / "train.txt", "b", line)
    with pytest.raises(UserError, match=f"train.txt has the line '{line}'; write a stem, or"):
        CamVid(tmp_path).samples("train")


def test_first_missing_path_is_named(tmp_path: Path) -> None:
    source = CamVid(make(tmp_path))
    (tmp_path / "train/a.png").unlink()
    with pytest.raises(UserError, match=r"train/a.png is missing: expected an image"):
        source.samples("train")
    (tmp_path / "valannot/v.png").unlink()
    with pytest.raises(UserError, match=r"valannot/v.png is missing: expected the label"):
        source.samples("val")


def test_bad_lists_and_values(tmp_path: Path) -> None:
    source = CamVid(make(tmp_path))
    put_label(tmp_path / "valannot/v.png", [11, 12])
    with pytest.raises(UserError, match=r"v.png .*values 12, but 0 to 11 and 255 are"):
        labels(source, "val")
    put_text(tmp_path / "val.txt", "v", "/x/val/v.png /x/valannot/v.png")
    with pytest.raises(UserError, match=r"val.txt names 'v' 2 times"):
        source.samples("val")
    put_text(tmp_path / "val.txt")
    with pytest.raises(UserError, match=r"val.txt names no file"):
        source.samples("val")


# CamVid's 32 colors, as in its label_colors.txt, by the classes of SegNet
COLORS = {
    "Sky": [(128, 128, 128)],
    "Building": [(0, 128, 64), (128, 0, 0), (64, 192, 0), (64, 0, 64), (192, 0, 128)],
    "Pole": [(192, 192, 128), (0, 0, 64)],
    "Road": [(128, 64, 128), (128, 0, 192), (192, 0, 64)],
    "Pavement": [(0, 0, 192), (64, 192, 128), (128, 128, 192)],
    "Tree": [(128, 128, 0), (192, 192, 0)],
    "SignSymbol": [(192, 128, 128), (128, 128, 64), (0, 64, 64)],
    "Fence": [(64, 64, 128)],
    "Car": [(64, 0, 128), (64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64)],
    "Pedestrian": [(64, 64, 0), (192, 128, 64), (64, 0, 192), (64, 128, 64)],
    "Bicyclist": [(0, 128, 192), (192, 0, 192)],
    "Void": [(0, 0, 0)],
}


def put_colors(path: Path) -> None:
    """Write a label of 4 × 8 pixels, each of the 32 colors once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colors = [color for group in COLORS.values() for color in group]
    Image.fromarray(np.array(colors, np.uint8).reshape(4, 8, 3)).save(path)


def test_original_colors_are_reduced_to_11_classes() -> None:
    names = CamVid("nowhere").classes.names
    assert original_colors() == {
        color: names.index(group) if group in names else 255
        for group, colors in COLORS.items()
        for color in colors
    }


@pytest.mark.parametrize("lists", [False, True])
def test_color_form(tmp_path: Path, lists: bool) -> None:
    for split, stem in {"train": "a", "val": "v"}.items():
        if lists:  # the original release, with SegNet's lists
            put_text(tmp_path / f"{split}.txt", stem)
            put_image(tmp_path / f"701_StillsRaw_full/{stem}.png", size=(4, 8))
            put_colors(tmp_path / f"LabeledApproved_full/{stem}_L.png")
        else:  # the form on Kaggle
            put_image(tmp_path / f"{split}/{stem}.png", size=(4, 8))
            put_colors(tmp_path / f"{split}_labels/{stem}_L.png")
    assert CamVid.recognizes(tmp_path) is lists  # by its folders
    put_text(tmp_path / "class_dict.csv", "name,r,g,b", "CartLuggagePram,64,0,192")
    assert CamVid.recognizes(tmp_path)
    source = CamVid(tmp_path)
    assert [sample.name for sample in source.samples("val")] == ["v"]
    assert labels(source, "train") == labels(source, "val") == [[*range(11), 255]]
    expected = [[*COLORS].index(group) for group in COLORS for _ in COLORS[group]]
    read = source.read_label(source.samples("val")[0])
    assert np.where(read == 255, 11, read).ravel().tolist() == expected
    assert source.label_code.key != CamVid("nowhere").label_code.key


def test_color_form_refuses_other_colors_and_files(tmp_path: Path) -> None:
    put_image(tmp_path / "val/v.png")
    put_image(tmp_path / "val_labels/v_L.png")
    source = CamVid(tmp_path)
    with pytest.raises(
        UserError, match=r"v_L.png holds the colors \(90, 100, 120\), which are those of no class"
    ):
        labels(source, "val")
    put_colors(tmp_path / "val_labels/w_L.png")
    with pytest.raises(UserError, match=r"w_L.png has no image"):
        source.samples("val")
