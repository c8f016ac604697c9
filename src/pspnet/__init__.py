"""Pyramid Scene Parsing Network (Zhao et al., CVPR 2017, arXiv 1612.01105)."""

from pspnet.models.dilation import Dilation
from pspnet.models.pspnet import PSPNet
from pspnet.models.published.load import Published, load_published
from pspnet.models.pyramid_pooling import PyramidPooling

__all__ = ["Dilation", "PSPNet", "Published", "PyramidPooling", "load_published"]
