from pathlib import Path

import numpy as np
import pytest
from layouts import labels, put_image, put_label

from pspnet.data.datasets.cityscapes import Cityscapes
from pspnet.errors import UserError

# the definition, name by name
DEFINITION = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17,
    "traffic light": 19, "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23,
    "person": 24, "rider": 25, "car": 26, "truck": 27, "bus": 28, "train": 31, "motorcycle": 32,
    "bicycle": 33,
}  # fmt: skip
FRAMES = {"train": ["ulm/ulm_0_1", "aachen/aachen_0_2", "aachen/aachen_0_1"], "val": ["bonn/b_0_0"]}


def put_frame(
    root: Path,
    split: str,
    frame: str,
    *,
    ids: bool = True,
    train: bool = False,
    kind: str = "gtFine",
) -> None:
    put_image(root / f"leftImg8bit/{split}/{frame}_leftImg8bit.png")
    put_label(root / f"{kind}/{split}/{frame}_{kind}_color.png")
    if ids:
        put_label(root / f"{kind}/{split}/{frame}_{kind}_labelIds.png", [0, 7, 33])
    if train:
        put_label(root / f"{kind}/{split}/{frame}_{kind}_labelTrainIds.png", [255, 0, 18])


def make(root: Path, *, ids: bool = True, train: bool = False) -> Path:
    for split, frames in FRAMES.items():
        for frame in frames:
            put_frame(root, split, frame, ids=ids, train=train)
    return root


def test_label_ids_by_name(tmp_path: Path) -> None:
    source = Cityscapes(tmp_path)
    table = source.train_ids()
    for stored in range(256):
        names = [name for name, label_id in DEFINITION.items() if label_id == stored]
        if names:
            assert source.classes.names[table[stored]] == names[0]
        else:
            assert table[stored] == (255 if stored < 34 else -1)


def test_all_cities_sorted(tmp_path: Path) -> None:
    source = Cityscapes(make(tmp_path))
    samples = source.samples("train")
    assert [sample.name for sample in samples] == sorted(FRAMES["train"])
    assert samples[2].image == tmp_path / "leftImg8bit/train/ulm/ulm_0_1_leftImg8bit.png"
    assert samples[2].label == tmp_path / "gtFine/train/ulm/ulm_0_1_gtFine_labelIds.png"
    assert labels(source, "train") == [[0, 18, 255]] * 3


@pytest.mark.parametrize("ids", [True, False])
def test_train_ids_are_taken_where_all_have_them(tmp_path: Path, ids: bool) -> None:
    source = Cityscapes(make(tmp_path, ids=ids, train=True))
    for split in ("train", "val"):
        kinds = {sample.label.name.split("_")[-1] for sample in source.samples(split)}
        assert kinds == {"labelTrainIds.png"}
        assert labels(source, split) == [[0, 18, 255]] * len(FRAMES[split])
    assert source.train_ids()[19] == -1


def test_train_ids_of_some_are_left_alone(tmp_path: Path) -> None:
    """One table serves train and val, so one kind of label must."""
    make(tmp_path, train=True)
    (tmp_path / "gtFine/val/bonn/b_0_0_gtFine_labelTrainIds.png").unlink()
    source = Cityscapes(tmp_path)
    for split in ("train", "val"):
        kinds = {sample.label.name.split("_")[-1] for sample in source.samples(split)}
        assert kinds == {"labelIds.png"}
        assert labels(source, split) == [[0, 18, 255]] * len(FRAMES[split])


def test_the_test_split_has_no_labels(tmp_path: Path) -> None:
    put_frame(tmp_path, "test", "berlin/berlin_0_0")  # the release holds empty labels for it
    (sample,) = Cityscapes(tmp_path).samples("test")
    assert (sample.name, sample.label) == ("berlin/berlin_0_0", None)


def test_values_beyond_33_are_refused(tmp_path: Path) -> None:
    make(tmp_path)
    put_label(tmp_path / "gtFine/val/bonn/b_0_0_gtFine_labelIds.png", [7, 34])
    with pytest.raises(UserError, match=r"b_0_0_gtFine_labelIds.png .* 34, but 0 to 33 are"):
        labels(Cityscapes(tmp_path), "val")


def test_first_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"leftImg8bit/train is missing"):
        Cityscapes(tmp_path).samples("train")
    make(tmp_path)
    (tmp_path / "gtFine/train/aachen/aachen_0_2_gtFine_labelIds.png").unlink()
    with pytest.raises(UserError, match=r"aachen_0_2_gtFine_labelIds.png is missing"):
        Cityscapes(tmp_path).samples("train")
    (tmp_path / "leftImg8bit/test").mkdir()
    with pytest.raises(UserError, match="leftImg8bit/test holds no image"):
        Cityscapes(tmp_path).samples("test")


@pytest.mark.parametrize("train", [True, False])
def test_server_takes_label_ids_whatever_the_labels_are(tmp_path: Path, train: bool) -> None:
    source = Cityscapes(make(tmp_path, train=train))
    values = source.stored_values()
    assert values.dtype == np.uint8
    assert values.tolist() == list(DEFINITION.values())
    classes = [value for value, index in enumerate(source.predicted_ids()) if 0 <= index < 19]
    assert classes == sorted(DEFINITION.values())
    assert [value for value, index in enumerate(source.predicted_ids()) if index == -1] == list(
        range(34, 256)
    )


def test_classes() -> None:
    assert Cityscapes("nowhere").classes.names == tuple(DEFINITION)
    assert np.array_equal(Cityscapes("nowhere").classes.palette()[0], [128, 64, 128])


def test_coarse_annotations_of_train_extra(tmp_path: Path) -> None:
    make(tmp_path, train=True)
    for frame in ("graz/graz_0_1", "bonn/bonn_9_9"):
        put_frame(tmp_path, "train_extra", frame, kind="gtCoarse")
        (tmp_path / f"gtCoarse/train_extra/{frame.partition('/')[0]}/._a_gtCoarse_x.png").touch()
    coarse = Cityscapes(tmp_path, annotations="coarse")
    samples = coarse.samples("train")
    assert [sample.name for sample in samples] == ["bonn/bonn_9_9", "graz/graz_0_1"]
    folder = tmp_path / "gtCoarse/train_extra/graz"
    assert (
        samples[1].label == folder / "graz_0_1_gtCoarse_labelIds.png"
    )  # as not all have train ids
    assert labels(coarse, "train") == [[0, 18, 255]] * 2
    assert [sample.name for sample in coarse.samples("val")] == FRAMES["val"]
    assert labels(coarse, "val") == [[0, 18, 255]]
    both = Cityscapes(tmp_path, annotations="fine+coarse").samples("train")
    fine = Cityscapes(tmp_path).samples("train")
    assert [sample.name for sample in both] == [sample.name for sample in (*fine, *samples)]
    (folder / "graz_0_1_gtCoarse_labelIds.png").unlink()
    with pytest.raises(UserError, match=r"graz_0_1_gtCoarse_labelIds.png is missing"):
        coarse.samples("train")
