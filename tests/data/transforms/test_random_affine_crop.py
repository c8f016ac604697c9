"""Random draws of the crop, its sizes, and the share of one class."""

from __future__ import annotations

import random
from collections import Counter

import cv2
import numpy as np
import pytest
from crops import PUBLISHED, build, drawn, noise, run

from pspnet.data.transforms.affine import View


def mmcv_size(height: int, width: int, *, frame: tuple[int, int], ratio: float) -> tuple[int, int]:
    """Height and width as mmcv's `rescale_size` has them for a frame that a ratio multiplies."""
    long, short = int(frame[0] * ratio), int(frame[1] * ratio)
    factor = min(long / max(width, height), short / min(width, height))
    return int(height * float(factor) + 0.5), int(width * float(factor) + 0.5)


@pytest.mark.parametrize("ratio", [0.5, 0.777, 1, 1.2345, 2])
@pytest.mark.parametrize("frame", [(256, 64), (256, 128), (7, 7)])
@pytest.mark.parametrize("shape", [(50, 37), (37, 50), (5, 10), (200, 40), (10, 5), (128, 256)])
def test_fit_is_the_size_of_mmcv(
    shape: tuple[int, int], frame: tuple[int, int], ratio: float
) -> None:
    crop = build(crop_size=(9, 9), fit=frame, scale=(ratio, ratio))
    draw = drawn(crop, shape=shape, seeds=1)[0]
    assert draw["view"].canvas == mmcv_size(*shape, frame=frame, ratio=ratio)


@pytest.mark.parametrize("ratio", [0.5, 0.713, 1, 1.2345, 1.5, 1.999])
@pytest.mark.parametrize("shape", [(375, 500), (377, 5), (101, 57), (3, 2)])
def test_sizes_are_those_of_opencv(shape: tuple[int, int], ratio: float) -> None:
    """semseg's RandScale leaves the size to OpenCV, which rounds halves to even."""
    crop = build(crop_size=(9, 9), scale=(ratio, ratio))
    resized = cv2.resize(np.zeros(shape, np.uint8), None, fx=ratio, fy=ratio)
    assert drawn(crop, shape=shape, seeds=1)[0]["view"].canvas == resized.shape


def test_no_size_is_rounded_to_nothing() -> None:
    small = build(crop_size=(9, 9), scale=(0.3, 0.3))
    assert drawn(small, shape=(300, 1), seeds=1)[0]["view"].canvas == (90, 1)
    thin = build(crop_size=(9, 9), fit=(20, 10))
    assert drawn(thin, shape=(300, 1), seeds=1)[0]["view"].canvas == (20, 1)


def test_scales_are_uniform_between_their_bounds() -> None:
    for fit, height in ((None, 60), ((4000, 300), 300)):
        crop = build(crop_size=(9, 9), scale=(0.5, 2), fit=fit)
        draws = drawn(crop, shape=(60, 80), seeds=400)
        scales = np.array([draw["scale"] for draw in draws])
        canvases = np.array([draw["view"].canvas for draw in draws])
        assert (abs(canvases[:, 0] - scales * height) <= 1).all()
        assert (abs(canvases[:, 1] - scales * height * 80 / 60) <= 2).all()
        uniform(scales, 0.5, 2)


def uniform(values: np.ndarray, low: float, high: float) -> None:
    """Check that some hundreds of values are spread evenly over a range."""
    assert low <= values.min() < low + 0.02 * (high - low)
    assert high - 0.02 * (high - low) < values.max() <= high
    counts = np.histogram(values, bins=4, range=(low, high))[0]
    assert np.abs(counts - len(values) / 4).max() < 5 * np.sqrt(len(values) * 3 / 16)


def test_all_is_drawn_evenly_and_on_its_own() -> None:
    changes = {"rotation": 30, "blur": 0.3, "mirror": 0.6, "rotation_probability": 0.4}
    changes = {**PUBLISHED, **changes}
    draws = drawn(build(crop_size=(16, 12), **changes), shape=(50, 40), seeds=1500)
    views: list[View] = [draw["view"] for draw in draws]
    rotated = np.array([view.angle != 0 for view in views])
    columns = {
        "scale": np.array([draw["scale"] for draw in draws]),
        "rotated": rotated,
        "blurred": np.array([draw["blurred"] for draw in draws]),
        "mirrored": np.array([view.mirrored for view in views]),
        "top": np.array([v.window[0].start / (v.canvas[0] - 16) for v in views]),
        "left": np.array([v.window[1].start / (v.canvas[1] - 12) for v in views]),
    }
    for name, share in (("rotated", 0.4), ("blurred", 0.3), ("mirrored", 0.6)):
        assert columns[name].mean() == pytest.approx(share, abs=5 * np.sqrt(0.25 / 1500)), name
    angles = np.array([view.angle for view in views])
    uniform(angles[rotated], -30, 30)
    for name in ("top", "left"):
        assert columns[name].mean() == pytest.approx(0.5, abs=5 * np.sqrt(1 / 12 / 1500)), name
    together = np.corrcoef([*(values.astype(float) for values in columns.values()), angles])
    np.testing.assert_allclose(together, np.eye(7), atol=5 / np.sqrt(1500))


@pytest.mark.parametrize(("mirror", "share"), [(0, 0), (1, 1)])
def test_probabilities_of_none_and_all(mirror: float, share: float) -> None:
    changes = {"mirror": mirror, "blur": mirror, "rotation": 9, "rotation_probability": mirror}
    draws = drawn(build(crop_size=(9, 9), **changes), shape=(20, 20), seeds=50)
    assert {draw["view"].mirrored for draw in draws} == {share == 1}
    assert {draw["blurred"] for draw in draws} == {share == 1}
    assert {draw["view"].angle != 0 for draw in draws} == {share == 1}


@pytest.mark.parametrize("max_class_share", [1, 0.999])
def test_crops_are_at_every_place_alike(max_class_share: float) -> None:
    image, mask = noise(3, 4)[0], np.arange(12, dtype=np.uint8).reshape(3, 4)
    crop = build(crop_size=(2, 2), max_class_share=max_class_share)
    corners = Counter(int(run(crop, image, mask, seed=seed)[1][0, 0]) for seed in range(600))
    assert set(corners) == {0, 1, 2, 4, 5, 6}
    assert max(abs(count - 100) for count in corners.values()) < 5 * np.sqrt(100)


def share(labels: np.ndarray) -> float:
    """Part of the labeled pixels that the most frequent class has; 1 where no two classes are."""
    counts = Counter(labels[labels != 255].tolist())
    return max(counts.values()) / sum(counts.values()) if counts else 1.0


@pytest.mark.parametrize("scale", [(1, 1), (0.8, 1.3)])
def test_crops_are_mixed_where_crops_can_be(scale: tuple[float, float]) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 20:] = np.arange(40, dtype=np.uint8)[:, None] // 10
    mask[30:, :] = 255
    image = np.stack([mask] * 3, axis=-1)
    free = build(crop_size=(16, 16), scale=scale)
    limited = build(crop_size=(16, 16), scale=scale, max_class_share=0.75)
    shares = []
    for crop in (free, limited):
        crops = [run(crop, image, mask, seed=seed) for seed in range(300)]
        if scale == (1, 1):
            assert all((pixels[..., 0] == labels).all() for pixels, labels in crops)
        shares.append(np.array([share(labels) for _, labels in crops]))
    assert np.mean(shares[0] >= 0.75) > 0.3
    assert np.mean(shares[1] >= 0.75) < 0.01


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
    crop = build(crop_size=(1, 4), max_class_share=0.75)
    found = Counter(int(run(crop, image, mask, seed=seed)[0][0, 0, 0]) for seed in range(700))
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
    crop = build(crop_size=crop_size, max_class_share=limit)
    counting = Counting(0)
    crop.set_random_state(np.random.default_rng(0), counting)
    pixels, labels = crop(image=image, mask=mask).values()
    assert counting.drawn == 2 * crops  # a row and a column each
    window = crop.get_applied_params()["view"].window
    np.testing.assert_array_equal(pixels, image[window])  # the last that was drawn
    np.testing.assert_array_equal(labels, mask[window])
