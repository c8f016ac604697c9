"""The published augmentation, and the seeding of its transforms."""

from __future__ import annotations

import itertools
import pickle
import random
from dataclasses import dataclass, replace
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import pytest

from pspnet.data.transforms.augmentation import Augmentation
from pspnet.data.transforms.seeding import seed_transform
from pspnet.errors import UserError

MEAN = (0.485, 0.456, 0.406)
FILL = np.array([124, 116, 104])  # 255 times the mean, rounded
OFF = Augmentation(scale=(1, 1), rotation=0, blur=0, mirror=0)
MMSEG = Augmentation(fit=(140, 70), rotation=0, blur=0, photometric=1, max_class_share=0.75)
COLORS = np.zeros((256, 3), np.uint8)
COLORS[:5] = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 255, 255]]
COLORS[255] = FILL


def build(augmentation: Augmentation, *, crop_size: tuple[int, int]) -> A.Compose:
    return augmentation.build(crop_size=crop_size, mean=MEAN)


def run(transform: A.Compose, *, seed: int, image: np.ndarray, mask: np.ndarray):
    """Pixels (H, W, 3) and mask of a seeded call."""
    seed_transform(transform, seed=seed)
    out = transform(image=image, mask=mask)
    return out["image"], out["mask"]


def patches(height: int, width: int, *, side: int) -> np.ndarray:
    """A mask of random squares of the ids 0 to 4."""
    ids = np.random.default_rng(0).integers(0, 5, (height // side + 1, width // side + 1))
    return ids.repeat(side, 0).repeat(side, 1)[:height, :width].astype(np.uint8)


def interior(mask: np.ndarray, *, margin: int) -> np.ndarray:
    """Pixels whose neighborhood is in the crop and all of one id."""
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    inside = cv2.erode(mask, kernel) == cv2.dilate(mask, kernel)
    core = np.zeros_like(inside)
    core[margin:-margin, margin:-margin] = inside[margin:-margin, margin:-margin]
    return core


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(),
        Augmentation(rotation=180, rotation_probability=1),
        Augmentation(scale=(0.5, 0.5), rotation=0, mirror=1),
        Augmentation(scale=(2, 2), rotation=10, rotation_probability=1, blur=1, mirror=1),
        Augmentation(fit=(180, 120), rotation=0, blur=0, max_class_share=0.75),
    ],
)
def test_image_and_mask_stay_aligned(augmentation: Augmentation) -> None:
    mask = patches(110, 150, side=24)
    transform = build(augmentation, crop_size=(97, 121))
    seen = set()
    for seed in range(30):
        pixels, moved = run(transform, seed=seed, image=COLORS[mask], mask=mask)
        inside = interior(moved, margin=4)
        assert inside.mean() > 0.1
        distance = np.abs(pixels[inside].astype(int) - COLORS[moved[inside]]).max()
        assert distance < 3, f"seed {seed}: the image shows another class than the mask"
        seen |= set(np.unique(moved).tolist())
    assert seen == {0, 1, 2, 3, 4, 255}


def test_masks_hold_whole_ids_only() -> None:
    mask = np.random.default_rng(0).choice(np.array([3, 90, 255], np.uint8), (60, 60))
    for seed, augmentation in itertools.product(range(20), (Augmentation(), MMSEG)):
        transform = build(augmentation, crop_size=(50, 50))
        seed_transform(transform, seed=seed)
        moved = transform(image=COLORS[mask], mask=mask)["mask"]
        assert moved.dtype == np.uint8
        assert set(np.unique(moved).tolist()) <= {3, 90, 255}


def test_scale_is_uniform_between_its_bounds_and_keeps_the_shape() -> None:
    image, mask = np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), np.uint8)
    transform = build(
        Augmentation(scale=(0.5, 2), rotation=0, blur=0, mirror=0), crop_size=(124, 164)
    )
    heights, widths = [], []
    for seed in range(400):
        seed_transform(transform, seed=seed)
        inside = transform(image=image, mask=mask)["mask"] == 0
        heights.append(inside.any(1).sum())
        widths.append(inside.any(0).sum())
    scale = np.array(widths) / 80
    assert np.abs(np.array(heights) / 60 - scale).max() < 0.02
    assert 0.48 < scale.min() < 0.53
    assert 1.95 < scale.max() <= 2
    counts = np.histogram(scale, bins=4, range=(0.48, 2))[0]
    assert np.abs(counts - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)


@pytest.mark.parametrize("max_class_share", [1, 0.75])
@pytest.mark.parametrize("shape", [(20, 30), (21, 33), (64, 10), (10, 64), (1, 1)])
def test_small_images_are_centered_on_the_mean_color(
    shape: tuple[int, int], max_class_share: float
) -> None:
    augmentation = replace(OFF, max_class_share=max_class_share)
    image = np.full((*shape, 3), 7, np.uint8)
    mask = np.zeros(shape, np.uint8)
    pixels, moved = run(build(augmentation, crop_size=(40, 50)), seed=0, image=image, mask=mask)
    assert moved.shape == (40, 50)
    padded = moved == 255
    assert (pixels[padded] == FILL).all()
    assert (pixels[~padded] == 7).all()
    height, width = min(shape[0], 40), min(shape[1], 50)
    top, left = (40 - height) // 2, (50 - width) // 2
    expected = np.full((40, 50), 255)
    expected[top : top + height, left : left + width] = 0
    np.testing.assert_array_equal(moved, expected)


def test_rotation_stays_within_its_angle() -> None:
    mask = np.zeros((101, 101), np.uint8)
    mask[48:53, 15:86] = 1
    augmentation = Augmentation(scale=(1, 1), rotation=10, rotation_probability=1, blur=0)
    transform = build(augmentation, crop_size=(101, 101))
    angles = []
    for seed in range(100):
        rows, columns = np.nonzero(run(transform, seed=seed, image=COLORS[mask], mask=mask)[1] == 1)
        angles.append(np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0])))
    assert 8.5 < max(angles) < 10.5
    assert -10.5 < min(angles) < -8.5


def test_blur_is_the_binomial_kernel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    augmentation = Augmentation(scale=(1, 1), rotation=0, blur=1, mirror=0)
    transform = build(augmentation, crop_size=(20, 30))
    pixels, _ = run(transform, seed=0, image=image, mask=image[..., 0])
    wide = np.pad(image.astype(float), ((2, 2), (2, 2), (0, 0)), mode="reflect")
    weights = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    expected = sum(
        weights[row, column] * wide[row : row + 20, column : column + 30]
        for row, column in itertools.product(range(5), repeat=2)
    )
    assert np.abs(pixels - expected).max() < 0.51  # rounded to whole values


@pytest.mark.parametrize(
    ("probability", "least", "most"), [(0, 0, 0), (0.5, 150, 250), (1, 400, 400)]
)
def test_mirror_has_its_probability(probability: float, least: int, most: int) -> None:
    mask = np.array([[0, 1]], np.uint8)
    augmentation = Augmentation(scale=(1, 1), rotation=0, blur=0, mirror=probability)
    transform = build(augmentation, crop_size=(1, 2))
    mirrored = 0
    for seed in range(400):
        _, moved = run(transform, seed=seed, image=COLORS[mask], mask=mask)
        mirrored += moved.tolist() == [[1, 0]]
    assert least <= mirrored <= most  # for one half: five standard deviations of 10


@dataclass(frozen=True)
class Own(Augmentation):
    """Augmentation with transforms from Python."""

    own: tuple[A.BasicTransform, ...] = ()

    def extra_transforms(self) -> list[A.BasicTransform | A.BaseCompose]:
        return [*super().extra_transforms(), *self.own]


def test_extra_transforms_see_the_crop_before_its_colors_change_and_without_padding() -> None:
    seen: list[np.ndarray] = []

    def darkened(image: np.ndarray, **_: object) -> np.ndarray:
        seen.append(image)
        return image // 2

    augmentation = Own(**{**vars(OFF), "photometric": 1}, own=(A.Lambda(image=darkened, p=1),))
    transform = augmentation.build(crop_size=(40, 50), mean=MEAN)
    seen.clear()
    image = np.random.default_rng(0).integers(0, 256, (20, 60, 3), dtype=np.uint8)
    pixels, moved = run(transform, seed=1, image=image, mask=np.zeros((20, 60), np.uint8))
    assert len(seen) == 1
    assert seen[0].shape == (20, 50, 3)
    left = transform[0].get_applied_params()["view"].window[1].start
    np.testing.assert_array_equal(seen[0], image[:, left : left + 50])
    assert (pixels[moved == 255] == FILL).all()
    distorted = transform[2].apply(seen[0] // 2, **transform[2].get_applied_params())
    np.testing.assert_array_equal(pixels[10:30], distorted)


def test_a_subclass_adds_transforms_to_those_of_a_file(tmp_path: Path) -> None:
    A.save(A.Solarize(p=1), tmp_path / "own.yaml", data_format="yaml")
    augmentation = Own(extra=str(tmp_path / "own.yaml"), own=(A.InvertImg(p=1),))
    names = [type(each).__name__ for each in augmentation.build(crop_size=(8, 8), mean=MEAN)]
    extra = ["Solarize", "InvertImg"]
    assert names == ["RandomAffineCrop", *extra, "PhotometricDistortion", "CentralPadding"]


@pytest.mark.parametrize("augmentation", [Augmentation(), MMSEG])
def test_a_seed_decides_all_and_global_generators_nothing(augmentation: Augmentation) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    first, second = (build(augmentation, crop_size=(33, 33)) for _ in range(2))
    for seed in range(10):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the global generator is what must not matter
        states = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
        one = run(first, seed=seed, image=image, mask=image[..., 0])
        assert random.getstate() == states[0]
        np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
        random.seed(99)
        two = run(second, seed=seed, image=image, mask=image[..., 0])
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])
        other = run(second, seed=seed + 100, image=image, mask=image[..., 0])
        assert not np.array_equal(one[0], other[0])


@pytest.mark.parametrize("augmentation", [Augmentation(blur=1), MMSEG])
def test_transforms_can_be_sent_to_workers(augmentation: Augmentation) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    transform = build(augmentation, crop_size=(33, 33))
    copy = pickle.loads(pickle.dumps(transform))
    one, two = (run(each, seed=3, image=image, mask=image[..., 0]) for each in (transform, copy))
    np.testing.assert_array_equal(one[0], two[0])


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"scale": (0, 2)}, r"scale=\(0, 2\)"),
        ({"scale": (2, 0.5)}, r"scale=\(2, 0.5\)"),
        ({"rotation": -1}, "rotation=-1"),
        ({"rotation": 181}, "rotation=181"),
        ({"rotation_probability": 1.5}, "rotation_probability=1.5"),
        ({"blur": -0.1}, "blur=-0.1"),
        ({"mirror": 2}, "mirror=2"),
        ({"mirror": float("nan")}, "mirror=nan"),
        ({"fit": (512, 2048)}, r"fit=\(512, 2048\)"),
        ({"fit": (512, 0)}, r"fit=\(512, 0\)"),
        ({"photometric": 1.1}, "photometric=1.1"),
        ({"photometric": float("nan")}, "photometric=nan"),
        ({"max_class_share": 0}, "max_class_share=0"),
        ({"max_class_share": 75}, "max_class_share=75"),
        ({"max_class_share": float("nan")}, "max_class_share=nan"),
    ],
)
def test_wrong_values_are_refused_by_name(values: dict, named: str) -> None:
    with pytest.raises(UserError, match=named):
        Augmentation(**values)
