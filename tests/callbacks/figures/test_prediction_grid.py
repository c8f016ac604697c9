"""Grid of predictions: colors, errors, ignored pixels, and a legend of what occurs."""

import numpy as np
import pytest
from labels import assert_labels_fit, texts

from pspnet.callbacks.figures.prediction_grid import WRONG, draw_prediction_grid, errors
from pspnet.data.datasets.classes import load_table


def scene(height, width, *, ids=(0, 1, 2), seed=0):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    target, prediction = random.choice(np.array(ids, np.uint8), (2, height, width))
    target[: height // 3] = 255
    return image, target, prediction


def test_errors_against_loops():
    image, target, prediction = scene(24, 30)
    shown = errors(image, target=target, prediction=prediction, ignore=255)
    for place in np.ndindex(24, 30):
        if target[place] == 255:
            assert tuple(shown[place]) in {(190,) * 3, (255,) * 3}
        elif target[place] != prediction[place]:
            assert tuple(shown[place]) == WRONG
        else:
            red, green, blue = image[place].tolist()
            gray = int(110 + 0.5 * (0.299 * red + 0.587 * green + 0.114 * blue))
            assert shown[place].tolist() == pytest.approx([gray] * 3, abs=1)
    assert {190, 255} == set(np.unique(shown[:8]).tolist())


def test_grid_of_differing_sizes_has_a_legend_of_what_occurs(tmp_path, figures):
    classes = load_table("ade20k")
    palette = classes.palette()
    rows = [scene(20, 90, ids=(0, 7)), scene(60, 30, ids=(0, 149))]
    rows[1][1][:] = 255
    draw_prediction_grid(rows, tmp_path / "a.png", palette=palette, names=classes.names)
    shown = {text.get_text() for text in texts(figures[0])}
    counted = rows[0][1] != 255
    pairs = zip(rows[0][1][counted], rows[0][2][counted], strict=True)
    share = 100 * np.mean([target != prediction for target, prediction in pairs])
    expected = {"Image", "Target", "Prediction", "Errors"}
    expected |= {f"{share:.1f} % wrong", "every pixel is ignored"}
    legend = {*(classes.names[value] for value in (0, 7, 149)), "wrong pixel", "ignored pixel"}
    assert shown == expected | legend
    image, target, prediction, _ = (a.images[0].get_array() for a in figures[0].axes[:4])
    np.testing.assert_array_equal(image, rows[0][0])
    assert (target[~counted] == 255).all()
    np.testing.assert_array_equal(target[counted], palette[rows[0][1][counted]])
    np.testing.assert_array_equal(prediction, palette[rows[0][2]])
    assert_labels_fit(figures[0])


@pytest.mark.parametrize("table", ["voc2012", "ade20k"])
def test_a_legend_of_every_class_fits(tmp_path, figures, table):
    classes = load_table(table)
    target = np.arange(len(classes), dtype=np.uint8).repeat(20)[None].repeat(40, axis=0)
    row = (np.zeros((*target.shape, 3), np.uint8), target, target)
    names, palette = classes.names, classes.palette()
    draw_prediction_grid([row], tmp_path / "a.png", palette=palette, names=names)
    shown = {text.get_text() for text in figures[0].legends[0].get_texts()}
    assert shown == {*names, "wrong pixel"}
    assert_labels_fit(figures[0])
