"""The table of IoU lost by class and part."""

import numpy as np
import pytest
from labels import assert_labels_fit

from pspnet.data.datasets.classes import load_table
from pspnet.plotting.contrast import contrast
from pspnet.tools.explain.figures import iou_losses
from pspnet.tools.explain.figures.iou_losses import PAGE, draw_losses, rows_per_panel


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would have been written."""
    caught = []
    monkeypatch.setattr(iou_losses, "save", lambda figure, out: caught.append(figure))
    return caught


@pytest.mark.parametrize("table", ["camvid", "ade20k"])
def test_the_table_prints_every_loss_and_colors_the_significant(tmp_path, drawn, table):
    names, columns = load_table(table).names, ["features", "bin 1", "all bins"]
    losses = np.arange(3 * len(names), dtype=float).reshape(-1, 3) / 10
    losses[0, 1], losses[0, 2], losses[1, 0] = np.nan, -0.04, 70
    significant = losses > 0.5
    draw_losses(
        losses,
        significant,
        tmp_path / "a.png",
        rows=names,
        columns=columns,
        title="IoU lost",
        about="PSPNet on resnet18, best.ckpt; 3 images",
    )
    *panels, bar = drawn[0].axes
    cells = [cell for axes in panels for cell in axes.texts]
    assert [cell.get_text() for cell in cells[:4]] == ["0.0", "–", "0.0", "70.0"]
    shown = [axes.images[0].get_array() for axes in panels]
    colored = np.concatenate([~np.ma.getmaskarray(part) for part in shown])
    np.testing.assert_array_equal(colored, significant)
    assert shown[0][1, 0] == 1
    assert len(cells) == 3 * len(names)
    assert [label.get_text() for label in bar.get_yticklabels()][-1] == "≥60"
    assert {axes.images[0].norm.vmax for axes in panels} == {1}
    sheet = " ".join(text.get_text() for text in drawn[0].texts)
    assert "PSPNet on resnet18, best.ckpt; 3 images" in sheet
    assert ("share one color scale" in sheet) == (len(panels) > 1) == (table == "ade20k")
    assert drawn[0].get_figheight() <= PAGE * drawn[0].get_figwidth()
    assert_labels_fit(drawn[0])


def test_numbers_are_readable_on_every_color(tmp_path, drawn):
    losses = np.linspace(-61, 61, 82)[:, None]
    draw_losses(
        losses,
        np.abs(losses) > 1,
        tmp_path / "a.png",
        rows=[str(k) for k in range(82)],
        columns=["bin 1"],
        title="IoU lost",
        about="",
    )
    ratios = []
    for axes in drawn[0].axes[:-1]:
        image = axes.images[0]
        for cell in axes.texts:
            behind = image.to_rgba(image.get_array())[round(cell.get_position()[1]), 0]
            behind = 1 + behind[3] * (behind[:3] - 1)  # on the white sheet
            ratios.append(contrast(cell.get_color(), behind))
    assert len(ratios) == 82
    assert min(ratios) >= 4.5


def test_rows_are_split_as_evenly_as_a_page_allows():
    assert rows_per_panel(14, wide=5) == 14
    assert rows_per_panel(150, wide=6) == 75
    assert rows_per_panel(150, wide=2) == 38
