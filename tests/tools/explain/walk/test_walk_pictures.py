"""Pictures of maps show their values."""

import base64
import io

import numpy as np
import torch
from PIL import Image

from pspnet.tools.explain.walk.pictures import (
    COLORS,
    denormalized,
    distinct_channels,
    first_component,
    heat,
    labels,
    limits_of,
)


def picture(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def maps(channels: int = 5) -> torch.Tensor:
    return torch.randn(channels, 9, 13, generator=torch.Generator().manual_seed(0))


def test_the_first_component_is_that_of_a_singular_value_decomposition():
    scales = torch.tensor([1.0, 4.0, 2.0, 0.1, 0.5])
    given = maps() * scales[:, None, None] + 3
    found = first_component(given)
    flat = given.flatten(1).double().numpy()
    left, values, _ = np.linalg.svd(flat - flat.mean(1, keepdims=True), full_matrices=False)
    assert abs(found.direction.numpy() @ left[:, 0]) > 1 - 1e-4
    np.testing.assert_allclose(found.share, values[0] ** 2 / (values**2).sum(), rtol=1e-4)
    component = found.of(given).flatten().numpy()
    np.testing.assert_allclose(component.var(), values[0] ** 2 / component.size, rtol=1e-4)
    assert np.corrcoef(component, flat.mean(0))[0, 1] > 0


def test_a_map_without_variance_has_no_component_and_one_color():
    found = first_component(torch.ones(3, 4, 5))
    assert found.share == 0
    shown = np.array(picture(heat(found.of(torch.ones(3, 4, 5)), found.limits)))
    assert np.unique(shown).tolist() == [round((COLORS - 1) / 2)]


def test_channels_that_repeat_another_are_not_shown_twice():
    one, two, three = maps(3)
    assert distinct_channels(torch.stack([5 * one, 6 * one, three, 2 * two, 0 * one]), 3)[:2] == [
        *(1, 3)
    ]
    assert sorted(distinct_channels(maps(2), 4)) == [0, 1]


def test_colors_rise_with_the_values():
    values = torch.linspace(-2, 5, 12).view(3, 4)
    shown = picture(heat(values, (-1, 4)))
    assert shown.size == (4, 3)
    expected = (((values + 1) / 5).clamp(0, 1) * (COLORS - 1)).round()
    assert np.array_equal(np.array(shown), expected.numpy())
    light = np.array(shown.convert("L"), float).ravel()
    assert (np.diff(light) >= 0).all()
    assert limits_of(torch.arange(101.0)) == (1, 99)


def test_large_maps_are_averaged_and_labels_are_not():
    values = torch.arange(16.0).view(4, 4)
    small = np.array(picture(heat(values, (0, 15), side=2)))
    expected = np.array([[2.5, 4.5], [10.5, 12.5]]) / 15 * (COLORS - 1)
    assert np.array_equal(small, expected.round())
    ids = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 255, 255], [2, 2, 255, 255]], np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    assert np.array(picture(labels(ids, palette, side=2))).tolist() == [[0, 1], [2, 255]]


def test_pixels_come_back_from_normalized_ones():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    image = (pixels / 255 - mean) / std
    given = torch.from_numpy(image).permute(2, 0, 1)
    assert np.array_equal(denormalized(given, mean=mean, std=std), pixels)
