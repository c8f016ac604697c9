"""mmsegmentation's steps: sizes, crops and colours against plain numpy and OpenCV."""

from __future__ import annotations

import random
from collections import Counter

import albumentations as A
import cv2
import numpy as np
import pytest

from pspnet.data.transforms import Augmentation, seed_transform, train_transform

OFF = {"scale": (1.0, 1.0), "rotation": 0, "blur": 0, "mirror": 0}
# mean 0 and std 1 / 255 make the normalised values those of the pixels
PIXELS = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}


def build(*, crop_size: tuple[int, int], **changes: object) -> A.Compose:
    return train_transform(Augmentation(**{**OFF, **changes}), crop_size=crop_size, **PIXELS)


def run(transform: A.Compose, *, image: np.ndarray, mask: np.ndarray, seed: int = 0):
    """Image (H, W, 3) uint8 and mask of a seeded call."""
    seed_transform(transform, seed=seed)
    out = transform(image=image, mask=mask)
    return out["image"].numpy().transpose(1, 2, 0).round().astype(np.uint8), out["mask"].numpy()


def step(transform: A.Compose, name: str) -> A.BasicTransform:
    return next(each for each in transform if type(each).__name__ == name)


def noise(height: int, width: int, *, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(height * 1000 + width)
    image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image, generator.integers(0, classes, (height, width), dtype=np.uint8)


def mmcv_size(height: int, width: int, *, frame: tuple[int, int], ratio: float) -> tuple[int, int]:
    """Width and height as mmcv's `rescale_size` has them for a frame that a ratio multiplies."""
    long, short = int(frame[0] * ratio), int(frame[1] * ratio)
    factor = min(long / max(width, height), short / min(width, height))
    return int(width * float(factor) + 0.5), int(height * float(factor) + 0.5)


@pytest.mark.parametrize("ratio", [0.5, 0.777, 1, 1.2345, 2])
@pytest.mark.parametrize("frame", [(256, 64), (256, 128), (7, 7)])
@pytest.mark.parametrize("shape", [(50, 37), (37, 50), (5, 10), (200, 40), (10, 5), (128, 256)])
def test_fit_is_one_resize_to_the_size_of_mmcv(
    shape: tuple[int, int], frame: tuple[int, int], ratio: float
) -> None:
    image, mask = noise(*shape)
    size = mmcv_size(*shape, frame=frame, ratio=ratio)
    # a crop of just the expected size shows all of the image, and would show padding or lack some
    transform = build(crop_size=size[::-1], fit=frame, scale=(ratio, ratio))
    pixels, moved = run(transform, image=image, mask=mask)
    assert transform[0].get_applied_params()["size"] == size
    expected = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(moved, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST))


def test_fit_multiplies_the_frame_by_a_uniform_factor() -> None:
    image, mask = noise(30, 40)
    transform = build(crop_size=(10, 10), fit=(4000, 300), scale=(0.5, 2))  # height 300 at 1
    heights = []
    for seed in range(400):
        run(transform, image=image, mask=mask, seed=seed)
        heights.append(transform[0].get_applied_params()["size"][1])
    assert 150 <= min(heights) < 160
    assert 590 < max(heights) <= 600
    counts = np.histogram(heights, bins=4, range=(150, 600))[0]
    assert np.abs(counts - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)


def test_fit_keeps_a_pixel_of_the_thinnest_image() -> None:
    for shape, size in (((1, 300), (20, 1)), ((300, 1), (1, 20))):
        image, mask = noise(*shape)
        pixels, _ = run(build(crop_size=size[::-1], fit=(20, 10)), image=image, mask=mask)
        np.testing.assert_array_equal(pixels, cv2.resize(image, size))


def published_distortion(image: np.ndarray, drawn: dict) -> np.ndarray:
    """The published steps on an image in BGR, as mmsegmentation reads it."""

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
        drawn = step(transform, "PhotometricDistortion").get_applied_params()
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
        draws.append(step(transform, "PhotometricDistortion").get_applied_params())
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
    transform = build(crop_size=(2, 2), photometric=share, max_class_share=0.99)
    applied = 0
    for seed in range(400):
        run(transform, image=image, mask=mask, seed=seed)
        applied += bool(step(transform, "PhotometricDistortion").get_applied_params())
    assert least <= applied <= most  # for 0.3: over four standard deviations of 9.2


def test_distortion_leaves_the_padding() -> None:
    image, mask = noise(20, 30)
    augmentation = Augmentation(**{**OFF, "photometric": 1})
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.2, 0.2)
    transform = train_transform(augmentation, crop_size=(40, 50), mean=mean, std=std)
    changed = 0
    for seed in range(20):
        seed_transform(transform, seed=seed)
        out = transform(image=image, mask=mask)
        padded = out["mask"].numpy() == 255
        assert padded.sum() == 40 * 50 - 20 * 30
        assert np.abs(out["image"].numpy()[:, padded]).max() < 0.02  # the mean, in whole values
        inside = out["image"].numpy()[:, ~padded].T * std + mean
        changed += np.abs(inside * 255 - image.reshape(-1, 3)).max() > 1
    assert changed > 10


def share(labels: np.ndarray) -> float:
    """Part of the labelled pixels that the most frequent class has; 1 where no two classes are."""
    counts = Counter(labels[labels != 255].tolist())
    return max(counts.values()) / sum(counts.values()) if counts else 1.0


def test_crops_are_mixed_where_crops_can_be() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 20:] = np.arange(40, dtype=np.uint8)[:, None] // 10
    mask[30:, :] = 255
    image = np.stack([mask] * 3, axis=-1)
    free = build(crop_size=(16, 16), photometric=0.001)
    limited = build(crop_size=(16, 16), max_class_share=0.75)
    shares = [
        [share(run(each, image=image, mask=mask, seed=seed)[1]) for seed in range(300)]
        for each in (free, limited)
    ]
    assert np.mean(np.array(shares[0]) >= 0.75) > 0.3
    assert np.mean(np.array(shares[1]) >= 0.75) < 0.01


@pytest.mark.parametrize(
    ("row", "starts"),
    [
        ([0, 0, 0, 1, 0, 0, 0, 0, 0, 0], {0, 1, 2, 3, 4, 5, 6}),  # 3 of 4 is not below 0.75
        ([0, 0, 0, 1, 1, 0, 0, 0, 0, 0], {1, 2, 3}),  # 2 of 4 is
        ([7, 255, 255, 9, 7, 7, 7, 7, 7, 7], {0, 1, 2}),  # ignored pixels do not count
        ([255] * 7 + [1, 1, 1], {0, 1, 2, 3, 4, 5, 6}),  # a single class is no mixture
    ],
)
def test_crops_follow_the_published_rule(row: list[int], starts: set[int]) -> None:
    mask = np.array([row], np.uint8)
    image = np.arange(10, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    transform = build(crop_size=(1, 4), max_class_share=0.75)
    found = Counter(
        int(run(transform, image=image, mask=mask, seed=seed)[0][0, 0, 0]) for seed in range(700)
    )
    wrong = sum(count for start, count in found.items() if start not in starts)
    retried = (1 - len(starts) / 7) ** 11 * 700  # after ten retries any crop is taken
    assert wrong < retried + 5 * np.sqrt(retried) + 1
    expected = 700 / len(starts)
    for start in starts:
        assert abs(found[start] - expected) < 5 * np.sqrt(expected) + 3


class Counting(random.Random):
    """Counts the whole numbers that are drawn."""

    drawn = 0

    def randint(self, a: int, b: int) -> int:
        self.drawn += 1
        return super().randint(a, b)


@pytest.mark.parametrize(
    ("classes", "limit", "crop_size", "crops"),
    [
        (1, 0.75, (8, 8), 11),  # none can do: the eleventh is taken
        (5, 0.75, (8, 8), 1),
        (5, 0.1, (8, 8), 11),
        (1, 1, (8, 8), 1),
        (1, 0.75, (20, 30), 1),  # there is no other crop
        (1, 0.75, (20, 8), 11),
    ],
)
def test_crops_are_drawn_up_to_eleven_times(
    classes: int, limit: float, crop_size: tuple[int, int], crops: int
) -> None:
    image, mask = noise(20, 30, classes=classes)
    transform = build(crop_size=crop_size, max_class_share=limit, photometric=1)
    counting = Counting(0)
    step(transform, "MixedCrop").set_random_state(np.random.default_rng(0), counting)
    transform(image=image, mask=mask)
    assert counting.drawn == 2 * crops  # a row and a column each


def test_unlimited_crops_reach_every_offset_alike() -> None:
    image, mask = noise(3, 4)[0], np.arange(12, dtype=np.uint8).reshape(3, 4)
    transform = build(crop_size=(2, 2), photometric=1)
    corners = Counter(
        int(run(transform, image=image, mask=mask, seed=seed)[1][0, 0]) for seed in range(600)
    )
    assert set(corners) == {0, 1, 2, 4, 5, 6}
    assert max(abs(count - 100) for count in corners.values()) < 5 * np.sqrt(100)
