from pathlib import Path

import numpy as np
import pytest
from layouts import labels, put_image, put_label, put_text

from pspnet.data.datasets.camvid import CamVid
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
