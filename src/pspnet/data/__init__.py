"""Data sets, their classes, augmentation and loading; knows no model."""

from pspnet.data.ade20k import ADE20K
from pspnet.data.camvid import CamVid
from pspnet.data.cityscapes import Cityscapes
from pspnet.data.folder import Folder
from pspnet.data.scenes import Scenes
from pspnet.data.voc import VOC

__all__ = ["ADE20K", "VOC", "CamVid", "Cityscapes", "Folder", "Scenes"]
