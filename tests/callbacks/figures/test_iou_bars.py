"""Bars of IoU: every class once, its value, its color, and the mean of those present."""

import numpy as np
import pytest
from labels import assert_labels_fit, texts

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
    order = sorted(iou, key=lambda name: -1 if iou[name] is None else iou[name], reverse=True)
    assert names == order  # absent classes last
    lengths = [100 * (iou[name] or 0) for name in order]
    np.testing.assert_allclose([patch.get_width() for patch in patches], lengths)
    colors = [np.rint(255 * np.array(patch.get_facecolor()[:3])).tolist() for patch in patches]
    assert colors == [[*classes.colors[classes.names.index(name)]] for name in order]
    assert columns[0].get_xlabel() == "IoU, %"
    assert [text.get_text() for text in columns[-1].texts].count("absent") == 2
    assert columns[-1].lines[0].get_xdata()[0] == pytest.approx(100 * present.mean())
    assert means.patches[0].get_width() == pytest.approx(50 * (1 + values[3]))
    assert [text.get_text() for text in means.texts].count("absent") == 1
    assert_labels_fit(figures[0])


@pytest.mark.parametrize(("table", "width"), [("camvid", 3.5), ("ade20k", 7.2)])
def test_bars_of_a_papers_width(tmp_path, figures, table, width):
    classes = load_table(table)
    iou = dict.fromkeys(classes.names, 0.5)
    look = {"colors": classes.colors, "groups": {}, "title": ""}
    draw_iou_bars(iou, tmp_path / "a.pdf", width=width, **look)
    assert figures[0].get_figwidth() == width
    assert min(text.get_size() for text in texts(figures[0])) >= 7
    assert_labels_fit(figures[0])


def test_the_line_of_the_mean_runs_through_no_value(tmp_path, figures):
    iou = {"a": 0.374, "b": 0.43, "c": 0.396, "d": 0.40}
    look = {"colors": [(0, 0, 0)] * 4, "groups": {"all": ["a", "c"]}, "title": ""}
    draw_iou_bars(iou, tmp_path / "a.png", **look)
    figures[0].draw_without_rendering()
    moved = 0
    for axes in figures[0].axes:
        line = axes.transData.transform((40.0, 0))[0]
        assert axes.lines[0].get_path_effects()  # white beside it, for a black bar
        for text in axes.texts:
            box = text.get_window_extent()
            assert not box.x0 < line < box.x1
            moved += text.xy[0] == pytest.approx(40.0) and text.get_text() != "40.0"
    assert moved == 3  # a, c and the group
    assert_labels_fit(figures[0])
