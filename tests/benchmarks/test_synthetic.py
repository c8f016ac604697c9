"""Synthetic images and labels."""

import numpy as np
import pytest
import torch

from benchmarks.synthetic import MEAN, STD, normalized, random_image, random_label


def test_labels_have_all_classes_and_ignored_pixels():
    ids = random_label((256, 256), classes=5, seed=3)
    assert set(np.unique(ids)) == {*range(5), 255}


def test_images_vary_and_are_reproducible():
    assert random_image((31, 45), seed=0).shape == (31, 45, 3)
    assert np.array_equal(random_image((70, 90), seed=2), random_image((70, 90), seed=2))
    # a uniform distribution's standard deviation is 256 / sqrt(12) = 74
    assert random_image((256, 256), seed=1).std() == pytest.approx(74, abs=12)


def test_normalization_is_per_channel():
    image = np.full((2, 3, 3), (255, 0, 51), np.uint8)
    expected = [
        (value - mean) / std for value, mean, std in zip((1, 0, 0.2), MEAN, STD, strict=True)
    ]
    found = normalized(image)
    assert found.shape == (1, 3, 2, 3)
    torch.testing.assert_close(found[0, :, 1, 2], torch.tensor(expected))
