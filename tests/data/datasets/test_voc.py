from pathlib import Path

import pytest
from layouts import labels, make_voc, put_image, put_label, put_text

from pspnet.data.datasets.voc import VOC
from pspnet.errors import UserError

LISTS = "ImageSets/Segmentation"


@pytest.mark.parametrize("below", ["VOCdevkit/VOC2012", "VOC2012", "."])
def test_root_may_be_each_of_the_three(tmp_path: Path, below: str) -> None:
    make_voc(tmp_path / below, train=["b", "a"], val=["c"], trainval=["a", "b", "c"])
    source = VOC(tmp_path, train_split="train")
    samples = source.samples("train")
    assert [sample.name for sample in samples] == ["b", "a"]  # the list's order
    assert samples[0].image == tmp_path / below / "JPEGImages/b.jpg"
    assert samples[0].label == tmp_path / below / "SegmentationClass/b.png"
    assert labels(source, "val") == [[0, 20, 255]]
    assert len(VOC(tmp_path, train_split="trainval").samples("train")) == 3
    assert len(VOC(tmp_path, val_split="trainval").samples("val")) == 3


def test_classes() -> None:
    classes = VOC("nowhere").classes  # nothing is read
    assert (len(classes), classes.names[0], classes.names[20]) == (21, "background", "tvmonitor")


def test_the_test_split_has_no_labels(tmp_path: Path) -> None:
    make_voc(tmp_path, test=["t"])
    (sample,) = VOC(tmp_path).samples("test")
    assert (sample.name, sample.label) == ("t", None)


def test_predictions_hold_no_border() -> None:
    source = VOC("nowhere")
    assert source.predicted_ids().tolist() == [*range(21)] + [-1] * 235
    assert source.stored_values().tolist() == list(range(21))


@pytest.mark.parametrize("name", ["train_aug.txt", "trainaug.txt"])
def test_augmented_list_keeps_vocs_own_labels(tmp_path: Path, name: str) -> None:
    make_voc(tmp_path, train=["a", "b"], val=["v"])
    put_text(tmp_path / LISTS / name, "/JPEGImages/a.jpg /SegmentationClassAug/a.png", "x", "b")
    put_image(tmp_path / "JPEGImages/x.jpg")
    for stem in "ax":
        put_label(tmp_path / f"SegmentationClassAug/{stem}.png", 7)
    source = VOC(tmp_path)
    folders = [sample.label.parent.name for sample in source.samples("train")]
    assert folders == ["SegmentationClass", "SegmentationClassAug", "SegmentationClass"]
    assert labels(source, "train") == [[0, 20, 255], [7], [0, 20, 255]]


def test_augmented_list_with_images_of_val_is_refused(tmp_path: Path) -> None:
    make_voc(tmp_path, train=["a"], val=["v", "w"], train_aug=["a", "w", "v"])
    with pytest.raises(UserError, match=r"train_aug.txt names 2 images of val.txt, first 'v'"):
        VOC(tmp_path).samples("train")


def test_missing_augmented_list_says_how_to_make_it(tmp_path: Path) -> None:
    make_voc(tmp_path, train=["a"], val=["v"])
    source = VOC(tmp_path)
    source.prepare()  # without SBD there is nothing to be made, and validation needs none
    assert len(source.samples("val")) == 1
    with pytest.raises(UserError, match=r"train_aug.txt is missing.*sbd_root.*to train$"):
        source.samples("train")


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("JPEGImages", "VOCdevkit/VOC2012/JPEGImages is missing: expected the folder of VOC's"),
        (f"{LISTS}/val.txt", "val.txt is missing: expected the split's list"),
        ("JPEGImages/v.jpg", "v.jpg is missing: expected an image that .*val.txt names"),
        ("SegmentationClass/v.png", "SegmentationClass/v.png is missing: expected the label"),
    ],
)
def test_first_missing_path_is_named(tmp_path: Path, lost: str, message: str) -> None:
    make_voc(tmp_path, train=["a"], val=["v"])
    (tmp_path / lost).rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=message):
        VOC(tmp_path).samples("val")


def test_missing_root_and_double_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none is missing: expected the folder with VOC"):
        VOC(tmp_path / "none").samples("val")
    make_voc(tmp_path, val=["v", "w", "v"])
    with pytest.raises(UserError, match=r"val.txt names 'v' 2 times"):
        VOC(tmp_path).samples("val")
