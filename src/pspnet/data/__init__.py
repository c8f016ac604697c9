"""Data sets, their classes, augmentation and loading; knows no model."""

from pspnet.data.datasets.ade20k import ADE20K
from pspnet.data.datasets.camvid import CamVid
from pspnet.data.datasets.cityscapes import Cityscapes
from pspnet.data.datasets.folder import Folder
from pspnet.data.datasets.voc import VOC
from pspnet.data.scenes.dataset import Scenes

__all__ = ["ADE20K", "VOC", "CamVid", "Cityscapes", "Folder", "Scenes"]
