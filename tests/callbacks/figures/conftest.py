import pytest

from pspnet.callbacks.figures import confusion_matrix as matrix
from pspnet.callbacks.figures import curves as history
from pspnet.callbacks.figures import iou_bars as bars
from pspnet.callbacks.figures import learning_rates as rates
from pspnet.callbacks.figures import prediction_grid as grid


@pytest.fixture
def figures(monkeypatch):
    """The figures that would have been written."""
    caught = []
    for module in (bars, grid, history, matrix, rates):
        monkeypatch.setattr(module, "save", lambda figure, out: caught.append(figure))
    return caught
