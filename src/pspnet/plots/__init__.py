"""The pictures a run leaves: curves, IoU bars, confusion matrix, predictions beside the truth."""

from pspnet.plots.bars import iou_bars
from pspnet.plots.grid import prediction_grid
from pspnet.plots.history import curves
from pspnet.plots.matrix import confusion

__all__ = ["confusion", "curves", "iou_bars", "prediction_grid"]
