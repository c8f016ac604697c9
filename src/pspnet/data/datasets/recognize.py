"""The data set that reads a folder, found by the files and folders that are there."""

from __future__ import annotations

from pathlib import Path

from pspnet.data.datasets.ade20k import ADE20K
from pspnet.data.datasets.ade20k_full import ADE20KFull
from pspnet.data.datasets.base import Source
from pspnet.data.datasets.camvid import CamVid
from pspnet.data.datasets.cityscapes import Cityscapes
from pspnet.data.datasets.exports.coco import COCO
from pspnet.data.datasets.exports.labelme import LabelMe
from pspnet.data.datasets.exports.supervisely import Supervisely
from pspnet.data.datasets.folder import Folder
from pspnet.data.datasets.own_data.class_files import READERS
from pspnet.data.datasets.own_data.layout import MASKS
from pspnet.data.datasets.voc import LISTS, VOC
from pspnet.data.files import find_files
from pspnet.data.label_io import LABEL_SUFFIXES
from pspnet.data.scenes.dataset import Scenes
from pspnet.errors import UserError


def recognize(root: Path) -> Source:
    """Return the data set that reads a folder; VOC trains on the lists that are there.

    Raises:
        UserError: if `root` is no folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the root of a data set")
    if (scenes := Scenes.rendered(root)) is not None:
        return scenes
    if any((root / name).is_file() for name in READERS) and not CamVid.recognizes(root):
        # labelme's shapes may have a classes.yaml, too, and masks drawn of them beside
        masks = (root / name for name in MASKS if (root / name).is_dir())
        drawn = any(find_files(folder, LABEL_SUFFIXES) for folder in masks)
        return Folder(root) if drawn or not LabelMe.recognizes(root) else LabelMe(root)
    for kind in (ADE20K, ADE20KFull, CamVid, Cityscapes, COCO, LabelMe, Supervisely):
        if kind.recognizes(root):
            return kind(root)
    for base in (root, root / "VOC2012", root / "VOCdevkit/VOC2012"):
        if (base / "JPEGImages").is_dir() and (base / LISTS / "train.txt").is_file():
            augmented = any(
                (base / LISTS / f"{name}.txt").is_file() for name in ("train_aug", "trainaug")
            )
            return VOC(root, train_split="train_aug" if augmented else "train")
    return Folder(root)
