"""Class weights against their formulas, class by class."""

from __future__ import annotations

import math

import numpy as np

from pspnet.data.facts.class_weights import class_weights

COUNTS = np.array([[90, 10, 0, 0], [40, 0, 60, 0], [100, 0, 0, 0]])


def test_weights_follow_their_papers() -> None:
    weights = class_weights(COUNTS)
    total = {
        "inverse_frequency": [300 / 230, 300 / 10, 300 / 60],
        "log_frequency": [1 / math.log(1.02 + n / 300) for n in (230, 10, 60)],
        # shares within the images that have the class, of which the median is 0.6
        "median_frequency": [0.6 / (230 / 300), 0.6 / 0.1, 0.6 / 0.6],
        "effective_number": [(1 - 0.999) / (1 - 0.999**n) for n in (3, 1, 1)],
    }
    assert weights.keys() == total.keys()
    for name, expected in total.items():
        scaled = np.array(expected) / np.mean(expected)
        np.testing.assert_allclose(weights[name], [*scaled, 0], err_msg=name)


def test_without_a_labeled_pixel_all_weights_are_0() -> None:
    for weights in class_weights(COUNTS * 0).values():
        np.testing.assert_array_equal(weights, np.zeros(4))
