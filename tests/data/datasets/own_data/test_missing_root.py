"""A root that is not there is named itself, and not the first file that is looked for in it."""

from pathlib import Path

import pytest

from pspnet.data import Cityscapes
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.exports.coco import COCO
from pspnet.data.datasets.exports.labelme import LabelMe
from pspnet.data.datasets.exports.supervisely import Supervisely
from pspnet.data.datasets.file_lists import FileLists
from pspnet.data.datasets.folder import Folder
from pspnet.errors import UserError
from pspnet.tools.check.report import check

KINDS = (Folder, FileLists, COCO, LabelMe, Supervisely)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_and_images_are_not_looked_for(kind, tmp_path: Path) -> None:
    root, file = tmp_path / "absent", tmp_path / "file"
    file.write_text("")
    lists = {}
    if kind is FileLists:
        (tmp_path / "train.txt").write_text("a.png b.png\n")
        lists = {"train_list": tmp_path / "train.txt"}
    for read in (lambda source: source.classes, lambda source: source.samples("train")):
        with pytest.raises(UserError, match=f"^{root} is missing: expected the folder of the data"):
            read(kind(root, **lists))
        with pytest.raises(UserError, match=f"^{file} is no folder: expected the folder of the da"):
            read(kind(file, **lists))


def test_a_training_names_the_root_and_the_option(tmp_path: Path) -> None:
    root = tmp_path / "absent"
    with pytest.raises(UserError) as error:
        SegmentationData(Folder(root)).samples("train")
    option = "give --data.source.root=FOLDER"
    assert str(error.value) == f"{root} is missing: expected the folder of the data set; {option}"
    (finding,) = check(SegmentationData(Folder(root)), workers=0).findings
    assert finding.text == str(error.value)
    with pytest.raises(
        UserError, match=f"^{root}: no such folder \\({root}/leftImg8bit.*; {option}"
    ):
        SegmentationData(Cityscapes(root)).samples("train")
