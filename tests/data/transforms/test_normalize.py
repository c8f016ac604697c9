"""Normalization, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pspnet.data.transforms.normalize import normalize

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 5, 7), (2, 3, 40, 7)])
@pytest.mark.parametrize("memory_format", ["contiguous", "channels last"])
def test_normalized_images_are_of_mean_0_and_deviation_1(
    shape: tuple[int, ...], memory_format: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = torch.from_numpy(pixels)
    if memory_format == "channels last":
        image = image.movedim(-3, -1).contiguous().movedim(-1, -3)
    with torch.inference_mode():
        normalize(image, mean=MEAN, std=STD)  # leaves nothing that a training could not use
    out = normalize(image, mean=MEAN, std=STD)
    expected = (pixels / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    assert out.dtype == torch.float32
    assert out.stride() == image.stride()
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(image.numpy(), pixels)
    assert not out.is_inference()
