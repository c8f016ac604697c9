"""Bars of IoU: every class once, its value, its color, and the mean of those present."""

import numpy as np
import pytest
from labels import assert_labels_fit

from pspnet.callbacks.figures.iou_bars import draw_iou_bars
from pspnet.data.datasets.classes import load_table


@pytest.mark.parametrize("table", ["camvid", "cityscapes", "voc2012", "ade20k"])
def test_bars_show_every_class(tmp_path, figures, table):
    classes = load_table(table)
    values = np.random.default_rng(0).random(len(classes))
    iou: dict[str, float | None] = dict(zip(classes.names, values.tolist(), strict=True))
    iou[classes.names[0]], iou[classes.names[1]], iou[classes.names[2]] = 1.0, None, None
    groups = {"first": classes.names[:4], "lost": classes.names[1:3]}
    draw_iou_bars(iou, tmp_path / "a.png", colors=classes.colors, title="A run", groups=groups)
    *columns, means = figures[0].axes
    patches = [patch for axes in columns for patch in axes.patches]
    names = [label.get_text() for axes in columns for label in axes.get_yticklabels()]
    present = np.concatenate([[1.0], values[3:]])
    expected = 100 * np.concatenate([[1.0, 0.0, 0.0], values[3:]])
    assert names == list(classes.names)
    np.testing.assert_allclose([patch.get_width() for patch in patches], expected)
    colors = [np.rint(255 * np.array(patch.get_facecolor()[:3])) for patch in patches]
    np.testing.assert_array_equal(colors, classes.colors)
    assert [text.get_text() for text in columns[0].texts].count("absent") == 2
    assert columns[-1].lines[0].get_xdata()[0] == pytest.approx(100 * present.mean())
    assert means.patches[0].get_width() == pytest.approx(50 * (1 + values[3]))
    assert [text.get_text() for text in means.texts].count("absent") == 1
    assert_labels_fit(figures[0])
