"""Data sets, their classes, augmentation and loading; knows no model."""

from pspnet.data.datasets.ade20k import ADE20K
from pspnet.data.datasets.ade20k_full import ADE20KFull
from pspnet.data.datasets.base import Sample, Source
from pspnet.data.datasets.camvid import CamVid
from pspnet.data.datasets.cityscapes import Cityscapes
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.exports.coco import COCO
from pspnet.data.datasets.exports.labelme import LabelMe
from pspnet.data.datasets.exports.supervisely import Supervisely
from pspnet.data.datasets.file_lists import FileLists
from pspnet.data.datasets.folder import Folder
from pspnet.data.datasets.voc import VOC
from pspnet.data.scenes.dataset import Scenes
from pspnet.data.transforms.augmentation import Augmentation, AugmentationBase

__all__ = [
    "ADE20K",
    "COCO",
    "VOC",
    "ADE20KFull",
    "Augmentation",
    "AugmentationBase",
    "CamVid",
    "Cityscapes",
    "Classes",
    "FileLists",
    "Folder",
    "LabelMe",
    "Sample",
    "Scenes",
    "Source",
    "Supervisely",
]
