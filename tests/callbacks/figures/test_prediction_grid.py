"""Grid of predictions: colors, errors, ignored pixels, and a legend of what occurs."""

import numpy as np
import pytest
from labels import assert_labels_fit, texts

from pspnet.callbacks.figures.prediction_grid import WRONG, cells, errors, prediction_grid
from pspnet.data.datasets.classes import load_table
from pspnet.errors import UserError


def scene(height, width, *, ids=(0, 1, 2), seed=0):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    truth, prediction = random.choice(np.array(ids, np.uint8), (2, height, width))
    truth[: height // 3] = 255
    return image, truth, prediction


def test_errors_against_loops():
    image, truth, prediction = scene(24, 30)
    picture = errors(image, truth=truth, prediction=prediction, ignore=255)
    for place in np.ndindex(24, 30):
        if truth[place] == 255:
            assert tuple(picture[place]) in {(190,) * 3, (255,) * 3}
        elif truth[place] != prediction[place]:
            assert tuple(picture[place]) == WRONG
        else:
            red, green, blue = image[place].tolist()
            gray = int(110 + 0.5 * (0.299 * red + 0.587 * green + 0.114 * blue))
            assert picture[place].tolist() == pytest.approx([gray] * 3, abs=1)
    assert {190, 255} == set(np.unique(picture[:8]).tolist())


def test_cells_hold_palette_colors_and_white_for_ignored_pixels():
    row = scene(12, 10)
    palette = load_table("voc2012").palette()
    image, truth, prediction, _ = cells(row, palette=palette, ignore=255, judged=True)
    assert image is row[0]
    assert (truth[:4] == 255).all()
    np.testing.assert_array_equal(truth[4:], palette[row[1][4:]])
    np.testing.assert_array_equal(prediction, palette[row[2]])


def test_grid_of_differing_sizes_has_a_legend_of_what_occurs(tmp_path, figures):
    classes = load_table("ade20k")
    tall, wide = scene(60, 30, ids=(0, 149)), scene(20, 90, ids=(0, 7))
    rows = [wide, (tall[0], None, tall[2])]
    prediction_grid(rows, tmp_path / "a.png", palette=classes.palette(), names=classes.names)
    shown = {text.get_text() for text in texts(figures[0])}
    counted = wide[1] != 255
    share = 100 * np.mean([t != p for t, p in zip(wide[1][counted], wide[2][counted], strict=True)])
    expected = {"Image", "Truth", "Prediction", "Errors", f"{share:.1f} % wrong", "no truth"}
    legend = {
        classes.names[0],
        classes.names[7],
        classes.names[149],
        "wrong pixel",
        "ignored pixel",
    }
    assert shown == expected | legend
    assert_labels_fit(figures[0])


def test_grid_without_truth_has_two_columns(tmp_path, figures):
    image, _, prediction = scene(9, 12)
    names, palette = ["a", "b", "c"], load_table("camvid").palette()
    prediction_grid([(image, None, prediction)], tmp_path / "a.png", palette=palette, names=names)
    assert [axes.get_title() for axes in figures[0].axes] == ["Image", "Prediction"]
    assert {"wrong pixel", "Truth"}.isdisjoint(text.get_text() for text in texts(figures[0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, t, p: (i, t, p + 3), "row 0: prediction 5 is none of 3 classes"),
        (lambda i, t, p: (i, t, np.full_like(p, 255)), "prediction 255 is none"),
        (lambda i, t, p: (i, t[1:], p), r"truth \(8, 12\) uint8; give \(9, 12\)"),
        (lambda i, t, p: (i, t, p.astype(int)), "prediction .* int64"),
        (lambda i, t, p: (i / 255, t, p), "image .* float64"),
    ],
)
def test_grid_refuses(tmp_path, change, message):
    names, palette = ["a", "b", "c"], load_table("camvid").palette()
    with pytest.raises(UserError, match=message):
        prediction_grid([change(*scene(9, 12))], tmp_path / "a.png", palette=palette, names=names)
    with pytest.raises(UserError, match="no rows"):
        prediction_grid([], tmp_path / "a.png", palette=palette, names=names)
