"""Photometric distortion, against plain OpenCV, and padding, against plain numpy."""

from __future__ import annotations

from collections import Counter

import albumentations as A
import cv2
import numpy as np
import pytest

from pspnet.data.transforms.augmentation import Augmentation
from pspnet.data.transforms.photometric import CentralPadding
from pspnet.data.transforms.seeding import seed_transform

MEAN = (0.4, 0.5, 0.6)


def build(*, crop_size: tuple[int, int], photometric: float) -> A.Compose:
    off = Augmentation(scale=(1, 1), rotation=0, blur=0, mirror=0, photometric=photometric)
    return off.build(crop_size=crop_size, mean=MEAN)


def run(transform: A.Compose, *, image: np.ndarray, mask: np.ndarray, seed: int = 0):
    """Image and mask of a seeded call."""
    seed_transform(transform, seed=seed)
    out = transform(image=image, mask=mask)
    return out["image"], out["mask"]


def distortion(transform: A.Compose) -> A.BasicTransform:
    return next(each for each in transform if type(each).__name__ == "PhotometricDistortion")


def noise(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(height * 1000 + width)
    image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image, generator.integers(0, 5, (height, width), dtype=np.uint8)


def published_distortion(image: np.ndarray, drawn: dict) -> np.ndarray:
    """Apply the published steps to an image in BGR, as mmsegmentation reads it."""

    def linear(values: np.ndarray, *, alpha: float = 1, beta: float = 0) -> np.ndarray:
        changed = values.astype(np.float32) * np.float32(alpha) + np.float32(beta)
        return np.clip(changed, 0, 255).astype(np.uint8)

    image = image[..., ::-1].copy()
    if drawn["brightness"] is not None:
        image = linear(image, beta=drawn["brightness"])
    if drawn["contrast"] is not None and drawn["early"]:
        image = linear(image, alpha=drawn["contrast"])
    if drawn["saturation"] is not None:
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        hsv[..., 1] = linear(hsv[..., 1], alpha=drawn["saturation"])
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if drawn["hue"] is not None:
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + drawn["hue"]) % 180
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if drawn["contrast"] is not None and not drawn["early"]:
        image = linear(image, alpha=drawn["contrast"])
    return image[..., ::-1]


def test_distortion_is_the_published_one_and_leaves_the_labels() -> None:
    image, mask = noise(40, 50)
    transform = build(crop_size=(40, 50), photometric=1)
    different = 0
    for seed in range(200):
        pixels, moved = run(transform, image=image, mask=mask, seed=seed)
        drawn = distortion(transform).get_applied_params()
        np.testing.assert_array_equal(pixels, published_distortion(image, drawn))
        np.testing.assert_array_equal(moved, mask)
        different += not np.array_equal(pixels, image)
    assert 160 < different < 200  # 15 of 16 draws have a step


def test_distortion_draws_its_steps_and_their_ranges_evenly() -> None:
    image, mask = noise(2, 2)
    transform = build(crop_size=(2, 2), photometric=1)
    draws = []
    for seed in range(1600):
        run(transform, image=image, mask=mask, seed=seed)
        draws.append(distortion(transform).get_applied_params())
    names = ("brightness", "contrast", "saturation", "hue")
    patterns = Counter(
        (draw["early"], *(draw[name] is not None for name in names)) for draw in draws
    )
    assert len(patterns) == 32
    assert max(abs(count - 50) for count in patterns.values()) < 5 * np.sqrt(50)
    for place in range(5):
        often = sum(count for pattern, count in patterns.items() if pattern[place])
        assert abs(often - 800) < 5 * np.sqrt(1600 / 4)
    ranges = {"brightness": (-32, 32), "contrast": (0.5, 1.5), "saturation": (0.5, 1.5)}
    for name, (low, high) in ranges.items():
        values = np.array([draw[name] for draw in draws if draw[name] is not None])
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        counts = np.histogram(values, bins=4, range=(low, high))[0]
        assert np.abs(counts - len(values) / 4).max() < 5 * np.sqrt(len(values) * 3 / 16)
    assert {draw["hue"] for draw in draws} == {None, *range(-18, 18)}


@pytest.mark.parametrize(("share", "least", "most"), [(0, 0, 0), (0.3, 80, 160), (1, 400, 400)])
def test_distortion_has_its_share_of_the_images(share: float, least: int, most: int) -> None:
    image, mask = noise(2, 2)
    transform = build(crop_size=(2, 2), photometric=share)
    applied = 0
    for seed in range(400):
        run(transform, image=image, mask=mask, seed=seed)
        applied += bool(distortion(transform).get_applied_params())
    assert least <= applied <= most  # for 0.3: over four standard deviations of 9.2


def test_distortion_leaves_the_padding() -> None:
    image, mask = noise(20, 30)
    transform = build(crop_size=(40, 50), photometric=1)
    changed = 0
    for seed in range(20):
        pixels, moved = run(transform, image=image, mask=mask, seed=seed)
        padded = moved == 255
        assert padded.sum() == 40 * 50 - 20 * 30
        assert (pixels[padded] == (102, 128, 153)).all()  # 255 times the mean, rounded
        changed += not np.array_equal(pixels[~padded], image.reshape(-1, 3))
    assert changed > 10


@pytest.mark.parametrize("shape", [(20, 30), (21, 33), (40, 10), (10, 50), (1, 1), (39, 49)])
def test_padding_is_central(shape: tuple[int, int]) -> None:
    image, mask = noise(*shape)
    out = CentralPadding((40, 50), fill=(9, 8, 7))(image=image, mask=mask)
    top, left = (40 - shape[0]) // 2, (50 - shape[1]) // 2
    pixels, labels = np.full((40, 50, 3), (9, 8, 7)), np.full((40, 50), 255)
    pixels[top : top + shape[0], left : left + shape[1]] = image
    labels[top : top + shape[0], left : left + shape[1]] = mask
    np.testing.assert_array_equal(out["image"], pixels)
    np.testing.assert_array_equal(out["mask"], labels)


def test_what_lacks_nothing_is_not_copied() -> None:
    image, mask = noise(40, 50)
    out = CentralPadding((40, 50), fill=(9, 8, 7))(image=image, mask=mask)
    assert out["image"] is image
    assert out["mask"] is mask
