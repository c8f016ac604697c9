"""Grid of predictions: colors, errors, ignored pixels, confusions, a legend of what occurs."""

import numpy as np
import pytest
from color_vision import difference
from labels import assert_labels_fit, texts

from pspnet.callbacks.figures.prediction_grid import draw_prediction_grid, errors, mistakes
from pspnet.data.datasets.classes import load_table
from pspnet.plotting.style import STRIPE, WRONG


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
            assert tuple(shown[place]) in {STRIPE, (255,) * 3}
        elif target[place] != prediction[place]:
            assert tuple(shown[place]) == WRONG
        else:
            red, green, blue = image[place].tolist()
            gray = int(160 + 0.37 * (0.299 * red + 0.587 * green + 0.114 * blue))
            assert shown[place].tolist() == pytest.approx([gray] * 3, abs=1)
    assert {STRIPE[0], 255} == set(np.unique(shown[:8]).tolist())


def test_errors_differ_from_every_gray_of_the_image_to_every_reader():
    grays = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    labels = np.zeros((1, 256), np.uint8)
    below = errors(grays, target=labels, prediction=labels, ignore=255)
    assert difference(below, np.array(WRONG)).min() > 18
    assert difference(np.array(STRIPE), np.array(WRONG)) > 18


def test_mistakes_are_named_by_their_share_of_the_counted_pixels():
    target = np.repeat(np.array([0, 1, 2, 255], np.uint8), 1000)[None]
    prediction = target.copy()
    prediction[0, :300], prediction[0, 300:310], prediction[0, 1000] = 1, 2, 0
    prediction[0, 2000:2060], prediction[0, 3000:] = 0, 1
    said = mistakes(target, prediction, labels=["boat", "car", "road"], ignore=255)
    assert max(map(len, said.splitlines())) <= 50
    expected = "12.4 % wrong: car for boat 10.0 %, boat for road 2.0 %, road for boat 0.3 %"
    assert " ".join(said.split()) == expected
    assert mistakes(target, target, labels=["a", "b", "c"], ignore=255) == "0.0 % wrong"
    assert mistakes(target[:, 3000:], target[:, 3000:], labels=[], ignore=255).startswith("every")


def test_grid_of_differing_sizes_has_a_legend_of_what_occurs(tmp_path, figures):
    classes = load_table("ade20k")
    palette = classes.palette()
    rows = [scene(20, 90, ids=(0, 7)), scene(60, 30, ids=(0, 149))]
    rows[1][1][:] = 255
    names = classes.names
    draw_prediction_grid(rows, tmp_path / "a.png", palette=palette, names=names, title="A run")
    shown = {text.get_text() for text in texts(figures[0])}
    note = mistakes(*rows[0][1:], labels=names, ignore=255)
    expected = {"A run", "Image", "Target", "Prediction", "Errors", note, "every pixel is ignored"}
    example = "“bed for wall”: wall, predicted as bed"  # of this row's own confusions
    assert "bed for wall" in note
    key = {"wrong pixel (in the errors)", "ignored pixel", example}
    classes_shown, errors_shown = (
        {text.get_text() for text in legend.get_texts()} for legend in figures[0].legends
    )
    assert classes_shown == {names[value] for value in (0, 7, 149)}
    assert errors_shown == key
    assert shown == expected | classes_shown | key
    image, target, prediction, wrong = (a.images[0].get_array() for a in figures[0].axes[:4])
    np.testing.assert_array_equal(image, rows[0][0])
    ignored = rows[0][1] == 255
    times = target.shape[1] // 90
    assert times > 1  # the stripes of small images are as fine as those of large ones
    np.testing.assert_array_equal(target[::times, ::times][~ignored], palette[rows[0][1][~ignored]])
    stripes = ignored.repeat(times, 0).repeat(times, 1)
    assert set(np.unique(target[stripes])) == set(np.unique(wrong[stripes])) == {STRIPE[0], 255}
    np.testing.assert_array_equal(prediction, palette[rows[0][2]])
    assert_labels_fit(figures[0])


def test_the_example_of_a_note_is_wrapped_and_left_out_without_mistakes(tmp_path, figures):
    names, palette = ("rail of a long bridge", "a sign above the street"), np.zeros((256, 3), "u1")
    target = np.zeros((40, 60), np.uint8)
    for prediction in (target + 1, target):
        row = (np.zeros((40, 60, 3), np.uint8), target, prediction)
        draw_prediction_grid([row], tmp_path / "a.png", palette=palette, names=names)
    wrapped, none = ([text.get_text() for text in f.legends[1].get_texts()] for f in figures)
    sign, rail = names[1], names[0]
    assert wrapped[-1].replace("\n", " ") == f"“{sign} for {rail}”: {rail}, predicted as {sign}"
    assert none == ["wrong pixel (in the errors)"]
    assert_labels_fit(figures[0])
    left, right = (legend.get_window_extent() for legend in figures[0].legends)
    assert not left.overlaps(right)


@pytest.mark.parametrize("table", ["voc2012", "ade20k"])
def test_a_legend_of_every_class_fits(tmp_path, figures, table):
    classes = load_table(table)
    target = np.arange(len(classes), dtype=np.uint8).repeat(20)[None].repeat(40, axis=0)
    row = (np.zeros((*target.shape, 3), np.uint8), target, target)
    names, palette = classes.names, classes.palette()
    draw_prediction_grid([row], tmp_path / "a.png", palette=palette, names=names)
    shown = {text.get_text() for text in figures[0].legends[0].get_texts()}
    assert shown == {*names}
    assert_labels_fit(figures[0])
    left, right = (legend.get_window_extent() for legend in figures[0].legends)
    assert not left.overlaps(right)
