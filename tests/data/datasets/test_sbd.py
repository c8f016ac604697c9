from functools import partial
from pathlib import Path

import numpy as np
import pytest
from layouts import labels, make_voc, put_image, put_text
from PIL import Image
from scipy.io import savemat

from pspnet.data.datasets import sbd, voc
from pspnet.data.datasets.voc import VOC
from pspnet.errors import UserError

LISTS = "ImageSets/Segmentation"


def put_mat(path: Path, label: np.ndarray) -> Path:
    """A label file of the same structure as SBD's own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"Segmentation": label, "CategoriesPresent": np.unique(label)}
    savemat(path, {"GTcls": content}, do_compression=True)
    return path


@pytest.fixture
def layout(tmp_path: Path) -> tuple[Path, Path]:
    """VOC with train a, b and val v, w; SBD with a, x, y, v: five images come of them."""
    base = make_voc(tmp_path / "voc", train=["a", "b"], val=["v", "w"])
    dataset = tmp_path / "sbd/benchmark_RELEASE/dataset"
    put_text(dataset / "train.txt", "a", "y")
    put_text(dataset / "val.txt", "v", "x")
    for number, stem in enumerate("avxy"):
        put_image(base / f"JPEGImages/{stem}.jpg")
        put_mat(dataset / f"cls/{stem}.mat", np.full((4, 6), 10 + number, np.uint8))
    return base, tmp_path / "sbd"


def test_list_is_train_and_sbd_without_val(layout: tuple[Path, Path]) -> None:
    base, root = layout
    sbd.build_train_aug(base, root, expected=4)
    assert (base / LISTS / "train_aug.txt").read_text().split() == ["a", "b", "x", "y"]
    assert {path.name for path in (base / "SegmentationClassAug").iterdir()} == {"x.png", "y.png"}
    assert labels(VOC(base), "train") == [[0, 20, 255], [0, 20, 255], [12], [13]]
    image = Image.open(base / "SegmentationClassAug/x.png")
    assert image.convert("RGB").getpixel((0, 0)) == VOC().classes.colors[12]


@pytest.mark.parametrize("below", ["", "benchmark_RELEASE", "benchmark_RELEASE/dataset"])
def test_sbd_is_found(layout: tuple[Path, Path], below: str) -> None:
    assert sbd.sbd_dataset(layout[1] / below) == layout[1] / "benchmark_RELEASE/dataset"


def test_other_count_is_refused_before_anything_is_made(layout: tuple[Path, Path]) -> None:
    base, root = layout
    with pytest.raises(UserError, match=r"4 images for train_aug, not 10582: VOC train names 2"):
        VOC(base, sbd_root=root).prepare()
    assert not (base / "SegmentationClassAug").exists()
    assert not (base / LISTS / "train_aug.txt").exists()


def test_prepare_makes_it_once(layout: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    base, root = layout
    monkeypatch.setattr(voc, "build_train_aug", partial(sbd.build_train_aug, expected=4))
    VOC(base, sbd_root=root, train_split="train").prepare()
    assert not (base / LISTS / "train_aug.txt").exists()  # not trained on
    VOC(base, sbd_root=root).prepare()
    assert len(VOC(base).samples("train")) == 4
    monkeypatch.setattr(voc, "build_train_aug", None)
    VOC(base, sbd_root=root).prepare()


def test_interrupted_build_is_taken_up_again(
    layout: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, root = layout
    read, seen = sbd.read_sbd_label, []

    def interrupted(path: Path) -> np.ndarray:
        seen.append(path.stem)
        if seen == ["x", "y"]:
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(sbd, "read_sbd_label", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sbd.build_train_aug(base, root, expected=4)
    assert not (base / LISTS / "train_aug.txt").exists()
    assert [path.name for path in (base / "SegmentationClassAug").iterdir()] == ["x.png"]
    sbd.build_train_aug(base, root, expected=4)
    assert seen == ["x", "y", "y"]  # what was finished is not made again
    assert labels(VOC(base), "train")[2:] == [[12], [13]]


def test_label_is_read_exactly(tmp_path: Path) -> None:
    label = np.random.default_rng(0).integers(0, 21, (30, 20)).astype(np.uint8)
    np.testing.assert_array_equal(sbd.read_sbd_label(put_mat(tmp_path / "a.mat", label)), label)


def test_bad_labels_are_named(tmp_path: Path) -> None:
    path = put_mat(tmp_path / "a.mat", np.full((4, 6), 21, np.uint8))
    with pytest.raises(UserError, match=r"a.mat does not hold one class of 0 to 20"):
        sbd.read_sbd_label(path)
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(UserError, match=r"a.mat is no SBD label \(.*\); unpack SBD") as error:
        sbd.read_sbd_label(path)
    assert "\n" not in str(error.value)
    savemat(path, {"GTinst": 1})
    with pytest.raises(UserError, match=r"a.mat is no SBD label \('GTcls'\)"):
        sbd.read_sbd_label(path)
    with pytest.raises(UserError, match=r"b.mat is missing: expected SBD's label"):
        sbd.read_sbd_label(tmp_path / "b.mat")


def test_first_missing_path_is_named(layout: tuple[Path, Path], tmp_path: Path) -> None:
    base, root = layout
    with pytest.raises(UserError, match=r"none is missing: expected the unpacked SBD"):
        VOC(base, sbd_root=tmp_path / "none").prepare()
    with pytest.raises(UserError, match=r"RELEASE/dataset/cls is missing: expected SBD's"):
        VOC(base, sbd_root=tmp_path).prepare()
    (root / "benchmark_RELEASE/dataset/cls/y.mat").unlink()
    with pytest.raises(UserError, match=r"cls/y.mat is missing"):
        sbd.build_train_aug(base, root, expected=4)
    assert not (base / LISTS / "train_aug.txt").exists()
