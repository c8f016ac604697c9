"""Confusion matrix: rows are target classes, each divided by its sum."""

import numpy as np
import pytest
from labels import assert_labels_fit

from pspnet.callbacks.figures.confusion_matrix import draw_confusion_matrix, percent, row_shares
from pspnet.data.datasets.classes import load_table


def test_row_shares_against_loops():
    counts = np.random.default_rng(0).integers(0, 50, (5, 5)).astype(float)
    counts[3] = 0
    shares = row_shares(counts)
    for row in (0, 1, 2, 4):
        for column in range(5):
            assert shares[row, column] == pytest.approx(counts[row, column] / sum(counts[row]))
    assert np.isnan(shares[3]).all()


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, ""), (0.0004, ""), (0.004, ".4"), (0.0096, "1"), (0.55, "55"), (1, "100")],
)
def test_percent(share, text):
    assert percent(share) == text


@pytest.mark.parametrize("table", ["two", "camvid", "cityscapes", "voc2012", "ade20k"])
def test_confusion_shows_a_row_per_target_class(tmp_path, figures, table):
    names = ("thing", "stuff") if table == "two" else load_table(table).names
    counts = np.eye(len(names)) * 3
    counts[0, 1], counts[-1] = 1, 0
    draw_confusion_matrix(counts, names, tmp_path / "a.png", title="run/version_0 on val")
    assert figures[0].get_suptitle() == "run/version_0 on val"
    axes = figures[0].axes[0]
    shown = axes.images[0].get_array()
    assert shown[0, :2].tolist() == [75, 25]
    assert shown[-1].mask.all()
    numbers = [text.get_text() for text in axes.texts]
    assert numbers == (
        [] if table == "ade20k" else ["75", "25", *["100"] * (len(names) - 2), "absent"]
    )
    assert [label.get_text() for label in axes.get_yticklabels()] == list(names)
    assert_labels_fit(figures[0])


@pytest.mark.parametrize(
    ("table", "shown"),
    [("camvid", load_table("camvid").names), ("ade20k", map(str, range(0, 150, 10)))],
)
def test_a_matrix_of_a_papers_width_has_texts_of_7_points(tmp_path, figures, table, shown):
    names = load_table(table).names
    draw_confusion_matrix(np.eye(len(names)), names, tmp_path / "a.pdf", width=3.5)
    axes = figures[0].axes[0]
    assert figures[0].get_figwidth() == 3.5
    assert [label.get_text() for label in axes.get_yticklabels()] == [*shown]
    assert min(label.get_size() for label in axes.get_yticklabels()) >= 7
    assert_labels_fit(figures[0])
