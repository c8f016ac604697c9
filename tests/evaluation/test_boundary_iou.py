"""Boundary IoU against distance transforms of each class's mask."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_cdt, zoom

from pspnet.evaluation.boundary_iou import boundary_counts, outline_distance, width_in_pixels

CLASSES = 4


def blobs(seed: int, size=(37, 52)) -> np.ndarray:
    """A label of irregular regions."""
    noise = np.random.default_rng(seed).normal(size=(CLASSES, 6, 8))
    large = zoom(noise, (1, size[0] / 6, size[1] / 8), order=1)
    return large.argmax(0).astype(np.uint8)


def band(mask: np.ndarray, distance: int) -> np.ndarray:
    """The mask's pixels that a 3×3 erosion, repeated `distance` times, removes."""
    around = np.pad(mask, 1)
    return mask & (distance_transform_cdt(around, "chessboard")[1:-1, 1:-1] <= distance)


@pytest.mark.parametrize("distance", [1, 2, 5, 40])
def test_counts_are_those_of_the_masks_of_each_class(distance):
    target, prediction = blobs(0), blobs(1)
    target[10:14, 20:] = 255
    distances = [distance, 3]
    found, _ = boundary_counts(prediction, target, num_classes=CLASSES, distances=distances)
    counted = target != 255
    for index in range(CLASSES):
        masks = [(label == index) & counted for label in (target, prediction)]
        bands = [band(mask, distance) for mask in masks]
        expected = [(bands[0] & bands[1]).sum(), (bands[0] | bands[1]).sum()]
        assert found[:, index].tolist() == expected
    if distance == 40:  # wider than the image: the plain IoU
        assert found[1].sum() == sum(
            (((target == it) | (prediction == it)) & counted).sum() for it in range(CLASSES)
        )


def test_a_flat_label_is_near_its_frame_alone():
    rows, columns = (
        np.minimum(np.arange(9), np.arange(9)[::-1]),
        np.minimum(np.arange(12), np.arange(12)[::-1]),
    )
    expected = np.minimum.outer(rows, columns) + 1
    np.testing.assert_array_equal(outline_distance(np.full((9, 12), 3, np.uint8)), expected)


def test_widths_are_of_the_diagonal():
    assert width_in_pixels(0.02, (300, 400)) == 10
    assert width_in_pixels(0.005, (30, 40)) == 1
