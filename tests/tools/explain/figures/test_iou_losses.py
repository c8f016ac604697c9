"""The table of IoU lost by class and part."""

import numpy as np
import pytest
from labels import assert_labels_fit

from pspnet.data.datasets.classes import load_table
from pspnet.tools.explain.figures import iou_losses
from pspnet.tools.explain.figures.iou_losses import draw_losses, readable


@pytest.mark.parametrize("table", ["camvid", "ade20k"])
def test_the_table_prints_every_loss_and_grays_the_insignificant(tmp_path, monkeypatch, table):
    drawn = []
    monkeypatch.setattr(iou_losses, "save", lambda figure, out: drawn.append(figure))
    names, columns = load_table(table).names, ["features", "bin 1", "all bins"]
    losses = np.arange(3 * len(names), dtype=float).reshape(-1, 3) / 10
    losses[0, 1], losses[0, 2], losses[1, 0] = np.nan, -0.04, 70
    significant = losses > 0.5
    draw_losses(
        losses, significant, tmp_path / "a.png", rows=names, columns=columns, title="IoU lost"
    )
    cells = drawn[0].axes[0].texts
    assert [cell.get_text() for cell in cells[:4]] == ["0.0", "–", "0.0", "70.0"]
    assert cells[4].get_color() != cells[6].get_color()  # 0.4 is gray, 0.6 is not
    shown = drawn[0].axes[0].images[0].get_array()
    assert shown[1, 0] == 1
    assert shown[0, 2] < 0
    assert_labels_fit(drawn[0])


def luminance(color) -> float:
    """Relative luminance as WCAG defines it."""
    values = np.asarray(color, float)
    linear = np.where(values <= 0.03928, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("gray", [False, True])
def test_numbers_are_readable_on_every_color(gray):
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    for share in np.linspace(0, 1, 41):
        background = np.array(colormaps["RdBu_r"](share)[:3])
        pair = sorted((luminance(background), luminance(to_rgb(readable(background, gray=gray)))))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) > (2.0 if gray else 3.9)
