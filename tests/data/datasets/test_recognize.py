"""The data set that a folder is recognized to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from layouts import make_voc, put_image, put_text

from pspnet.data.datasets.recognize import recognize
from pspnet.data.scenes.dataset import Scenes
from pspnet.errors import UserError


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["leftImg8bit/train/bonn/a_leftImg8bit.png"], "Cityscapes"),
        (["annotations/training/ADE_train_1.png"], "ADE20K"),
        (["ADEChallengeData2016/annotations/training/ADE_train_1.png"], "ADE20K"),
        (["images/ADE/training/street/a.jpg"], "ADE20KFull"),
        (["trainannot/a.png", "train.txt"], "CamVid"),
        (["annotations/instances_train2017.json"], "COCO"),
        (["meta.json", "one/ann/a.jpg.json", "one/img/a.jpg"], "Supervisely"),
        (["images/a.jpg", "masks/a.png", "classes.yaml"], "Folder"),
        (["JPEGImages/a.jpg", "ImageSets/Segmentation/train.txt", "labelmap.txt"], "Folder"),
        (["a.jpg"], "Folder"),
    ],
)
def test_folders_are_recognized_by_their_marks(tmp_path: Path, files: list[str], name: str) -> None:
    for file in files:
        put_text(tmp_path / file, "{}")
    assert type(recognize(tmp_path)).__name__ == name


def test_voc_trains_on_the_lists_that_are_there(tmp_path: Path) -> None:
    make_voc(tmp_path / "VOCdevkit/VOC2012", train=["a"], val=["b"])
    assert [sample.name for sample in recognize(tmp_path).samples("train")] == ["a"]


def test_scenes_are_recognized_with_the_options_of_their_rendering(tmp_path: Path) -> None:
    Scenes(tmp_path / "scenes", seed=5, train=2, val=1, test=1).prepare()
    found = recognize(tmp_path / "scenes")  # in VOC's layout, with PNGs
    found.prepare()
    assert len(found.samples("train")) == 2


def test_labelme_is_recognized_by_a_file(tmp_path: Path) -> None:
    put_image(tmp_path / "a.jpg")
    put_text(tmp_path / "a.json", '{"shapes": [], "imagePath": "a.jpg"}')
    assert type(recognize(tmp_path)).__name__ == "LabelMe"
    put_text(tmp_path / "classes.yaml", "names: [a, b]")
    assert type(recognize(tmp_path)).__name__ == "LabelMe"
    put_image(tmp_path / "masks/a.png")  # drawn of the shapes, or by hand
    assert type(recognize(tmp_path)).__name__ == "Folder"


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder; give the root of a data set"):
        recognize(tmp_path / "nowhere")
