"""Pyramid Scene Parsing Network (Zhao et al., CVPR 2017, arXiv 1612.01105)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pspnet.models.dilation import Dilation
    from pspnet.models.pspnet import PSPNet
    from pspnet.models.published.load import PublishedNetwork, load_published
    from pspnet.models.pyramid_pooling import PyramidPooling
    from pspnet.prediction.prediction import Prediction
    from pspnet.prediction.predictor import Predictor

__all__ = [
    "Dilation",
    "PSPNet",
    "Prediction",
    "Predictor",
    "PublishedNetwork",
    "PyramidPooling",
    "load_published",
]

_HOMES = {
    "Dilation": "pspnet.models.dilation",
    "PSPNet": "pspnet.models.pspnet",
    "Prediction": "pspnet.prediction.prediction",
    "Predictor": "pspnet.prediction.predictor",
    "PublishedNetwork": "pspnet.models.published.load",
    "PyramidPooling": "pspnet.models.pyramid_pooling",
    "load_published": "pspnet.models.published.load",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that `pspnet --help` does not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
