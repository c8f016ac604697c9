"""The scores of single images against loops over pixels, and what is reported of them."""

import json
import math

import numpy as np
import pytest
from label_maps import CLASSES, batch

from pspnet.evaluation.boundary_iou import WIDTHS, boundary_counts, width_in_pixels
from pspnet.evaluation.image_scores import ByImage, score_image

NAMES = [f"class {index}" for index in range(CLASSES)]


def labels(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A prediction and a target that lacks class 0."""
    preds, target, _ = batch(seed)
    prediction, label = (it[0].numpy().astype(np.uint8) for it in (preds, target))
    label[label == 0] = 1
    return prediction, label


def score(seed: int, name: str = "a"):
    prediction, label = labels(seed)
    return score_image(prediction, label, name=name, num_classes=CLASSES, quality=0.5)


def test_iou_against_a_loop():
    prediction, label = labels(0)
    row, _ = score(0)
    pairs = [it for it in zip(label.flat, prediction.flat, strict=True) if it[0] != 255]
    expected = {}
    for index in range(CLASSES):
        both = sum(one == other == index for one, other in pairs)
        either = sum(index in pair for pair in pairs)
        if any(one == index for one, _ in pairs):
            expected[index] = both / either
    assert 0 not in expected
    found = {index: it for index, it in enumerate(row.iou) if not math.isnan(it)}
    assert found == pytest.approx(expected)
    assert row.miou == pytest.approx(sum(expected.values()) / len(expected))
    assert row.accuracy == pytest.approx(sum(one == other for one, other in pairs) / len(pairs))
    wrong = [pair for pair in pairs if pair[0] != pair[1]]
    most = max(wrong.count(pair) for pair in {*wrong})
    first, second, share = row.confused
    assert wrong.count((first, second)) == most
    assert share == pytest.approx(most / len(pairs))


def test_boundary_iou_is_of_the_classes_of_the_label():
    prediction, label = labels(1)
    row, counts = score(1)
    distances = [width_in_pixels(width, label.shape) for width in WIDTHS]
    expected = boundary_counts(prediction, label, num_classes=CLASSES, distances=distances)
    np.testing.assert_array_equal(counts, expected)
    for index, (both, either) in enumerate(expected):
        there = [it for it in range(CLASSES) if (label == it).any()]
        assert row.boundary[index] == pytest.approx(
            np.mean([both[it] / either[it] for it in there])
        )


def test_an_image_without_a_counted_pixel_has_no_scores():
    blank = np.full((9, 9), 255, np.uint8)
    row, counts = score_image(
        np.zeros_like(blank), blank, name="", num_classes=3, quality=float("nan")
    )
    assert math.isnan(row.miou)
    assert math.isnan(row.accuracy)
    assert row.confused is None
    assert not counts.any()


def test_the_worst_are_first_and_results_have_the_boundaries_of_all():
    scored = [score(seed, f"image {seed}") for seed in range(4)]
    blank, _ = score_image(
        np.zeros((5, 5), np.uint8),
        np.full((5, 5), 255, np.uint8),
        name="blank",
        num_classes=CLASSES,
        quality=float("nan"),
    )
    total = sum(counts for _, counts in scored)
    found = ByImage([blank, *(row for row, _ in scored)], total)
    described = json.loads(json.dumps(found.describe(NAMES, absent="skip"), allow_nan=False))
    worst = found.worst()
    assert [row.miou for row in worst[:-1]] == sorted(row.miou for row, _ in scored)
    assert worst[-1].name == found.suspects()[-1].name == "blank"
    assert "image 0" not in json.dumps(described)  # names are not published with the results
    assert described["image_miou"] == pytest.approx(np.mean([row.miou for row, _ in scored]))
    both, either = total[0]
    iou = described["boundary_iou"]["0.5%"]
    expected = [a / b if b else None for a, b in zip(both.tolist(), either.tolist(), strict=True)]
    assert [*iou["iou"].values()] == expected
    assert None in expected  # class 4 never occurs
    there = [it for it in expected if it is not None]
    assert iou["miou"] == pytest.approx(np.mean(there))
    zeros = found.describe(NAMES, absent="zero")["boundary_iou"]["0.5%"]["miou"]
    assert zeros == pytest.approx(sum(there) / CLASSES)
