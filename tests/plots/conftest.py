import pytest

from pspnet.plots import bars, grid, history, matrix


@pytest.fixture
def figures(monkeypatch):
    """The figures that would have been written."""
    caught = []
    for module in (bars, grid, history, matrix):
        monkeypatch.setattr(module, "save", lambda figure, out: caught.append(figure))
    return caught
