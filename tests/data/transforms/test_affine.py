"""One warp against the same steps one after the other in OpenCV."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
import pytest
from crops import FILL, PUBLISHED, Pair, build, noise, run

from pspnet.data.transforms.affine import View
from pspnet.errors import UserError


def smooth(height: int, width: int) -> Pair:
    """An image without sharp edges, and a mask of squares of the ids 0 to 4."""
    generator = np.random.default_rng(height * 1000 + width)
    coarse = generator.integers(0, 256, (height // 24 + 3, width // 24 + 3, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    ids = generator.integers(0, 5, (height // 16 + 1, width // 16 + 1)).repeat(16, 0).repeat(16, 1)
    return image, ids[:height, :width].astype(np.uint8)


def step_by_step(view: View, image: np.ndarray, mask: np.ndarray, *, blurred: bool) -> Pair:
    """Resize, rotation, blur, mirror and crop, each on its own."""
    height, width = view.canvas
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    if view.angle:
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), view.angle, 1)
        image = cv2.warpAffine(image, turn, (width, height), borderValue=FILL)
        mask = cv2.warpAffine(
            mask, turn, (width, height), flags=cv2.INTER_NEAREST, borderValue=(255,)
        )
    if blurred:
        image = cv2.GaussianBlur(image, (5, 5), 0)
    if view.mirrored:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return image, mask


def of_one_id(mask: np.ndarray, *, margin: int, beyond: int | None) -> np.ndarray:
    """Pixels all of whose neighbors are of their id, as are those beyond the mask; None is any."""
    padded = np.pad(mask, margin, mode="edge")
    if beyond is not None:
        padded = np.pad(mask, margin, constant_values=beyond)
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    same: np.ndarray = cv2.erode(padded, kernel) == cv2.dilate(padded, kernel)
    return same[margin:-margin, margin:-margin]


GEOMETRY = [
    {"rotation": rotation, "rotation_probability": 1, "mirror": mirror, "blur": blur, **size}
    for (rotation, blur), mirror, size in itertools.product(
        [(0, 0), (0, 1), (10, 0), (180, 1)],
        [0, 1],
        [
            {"scale": (0.5, 0.5)},
            {"scale": (0.713, 0.713)},
            {"scale": (1, 1)},
            {"scale": (1.37, 1.37)},
            {"scale": (2, 2)},
            {"scale": (0.5, 2), "fit": (160, 90)},
        ],
    )
]


@pytest.mark.parametrize("crop_size", [(61, 73), (61, 400), (400, 73), (400, 400)])
@pytest.mark.parametrize("shape", [(96, 128), (101, 83), (12, 150)])
def test_one_warp_is_what_the_steps_are_together(
    shape: tuple[int, int], crop_size: tuple[int, int]
) -> None:
    image, mask = smooth(*shape)
    compared = 0
    for seed, changes in enumerate(GEOMETRY):
        crop = build(crop_size=crop_size, **changes)
        pixels, labels = run(crop, image, mask, seed=seed)
        view: View = crop.get_applied_params()["view"]
        whole = [min(side, crop) for side, crop in zip(view.canvas, crop_size, strict=True)]
        assert list(labels.shape) == whole
        expected, ids = step_by_step(view, image, mask, blurred=changes["blur"] == 1)
        outside = 255 if view.angle else None
        inside = of_one_id(ids, margin=2, beyond=outside)[view.window]
        np.testing.assert_array_equal(labels[inside], ids[view.window][inside])
        compared += inside.sum()
        clear = np.ones(view.canvas, bool)
        if view.angle:  # the image fades within a pixel of the source, not one of the canvas
            clear = of_one_id((ids == 255).astype(np.uint8), margin=5, beyond=1)
        difference = np.abs(pixels.astype(int) - expected[view.window])[clear[view.window]]
        assert difference.max(initial=0) <= 8, changes
        assert difference.sum() <= difference.size, changes
    assert compared > 10_000


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": (0.6, 0.6)},
        {"scale": (1.7, 1.7), "mirror": 1},
        {"scale": (1.3, 1.3), "rotation": 30, "rotation_probability": 1},
        {"scale": (0.8, 0.8), "rotation": 180, "rotation_probability": 1, "mirror": 1},
        {"fit": (301, 201), "rotation": 10, "rotation_probability": 1},
    ],
)
def test_points_go_where_the_steps_move_them(changes: dict[str, Any]) -> None:
    points = [(40, 30), (120, 25), (80, 70), (35, 90), (130, 95)]
    crop = build(crop_size=(90, 110), **changes)
    found = 0
    for number, point in itertools.product(range(8), points):
        image, mask = np.zeros((121, 163, 3), np.uint8), np.zeros((121, 163), np.uint8)
        cv2.circle(image, point, 4, (255, 255, 255), -1)
        pixels, _ = run(crop, image, mask, seed=number)
        view: View = crop.get_applied_params()["view"]
        (height, width), (rows, columns) = view.canvas, view.window
        x, y = (point[0] + 0.5) * width / 163 - 0.5, (point[1] + 0.5) * height / 121 - 0.5
        turn = np.exp(-1j * np.radians(view.angle))  # y points down
        middle = complex((width - 1) / 2, (height - 1) / 2)
        moved = (complex(x, y) - middle) * turn + middle
        x = width - 1 - moved.real if view.mirrored else moved.real
        x, y = x - columns.start, moved.imag - rows.start
        if 10 <= x < pixels.shape[1] - 10 and 10 <= y < pixels.shape[0] - 10:
            window = (slice(int(y) - 10, int(y) + 11), slice(int(x) - 10, int(x) + 11))
            weight = pixels[window][..., 0].astype(float)
            weight[(pixels[window] == FILL).all(-1)] = 0
            down, across = np.indices(weight.shape)
            at = (down * weight).sum() / weight.sum() + window[0].start
            assert at == pytest.approx(y, abs=0.2)
            at = (across * weight).sum() / weight.sum() + window[1].start
            assert at == pytest.approx(x, abs=0.2)
            found += 1
    assert found > 4


@pytest.mark.parametrize("angle", [10, 180])
def test_what_rotation_uncovers_is_fill(angle: float) -> None:
    image, mask = noise(40, 60)
    crop = build(crop_size=(90, 130), scale=(0.5, 2), rotation=angle, rotation_probability=1)
    uncovered = 0
    for seed in range(30):
        pixels, labels = run(crop, image | 1, mask, seed=seed)  # no value of the image is fill
        view: View = crop.get_applied_params()["view"]
        (height, width), (rows, columns) = view.canvas, view.window
        down, across = np.mgrid[rows, columns]
        turn = np.exp(1j * np.radians(view.angle))
        middle = complex((width - 1) / 2, (height - 1) / 2)
        back = (across + 1j * down - middle) * turn + middle
        beyond = np.maximum(abs(back.real - middle.real) - width / 2, 0)
        beyond = np.maximum(beyond, abs(back.imag - middle.imag) - height / 2)
        step = max(width / 60, height / 40, 1)  # in which a pixel of the source fades
        assert (pixels[beyond > step] == FILL).all()
        assert (labels[beyond > 0.1] == 255).all()
        within = np.minimum(
            width / 2 - abs(back.real - middle.real), height / 2 - abs(back.imag - middle.imag)
        )
        assert (labels[within > 0.1] < 5).all()
        assert not (pixels[within > step] == FILL).all(-1).any()
        uncovered += (beyond > step).sum()
    assert uncovered > 1000


@pytest.mark.parametrize("mirror", [0, 1])
def test_without_resize_and_rotation_pixels_are_copied(mirror: int) -> None:
    image, mask = noise(30, 41)
    for crop_size, seed in itertools.product([(30, 41), (50, 50), (7, 9), (30, 9)], range(20)):
        crop = build(crop_size=crop_size, mirror=mirror)
        pixels, labels = run(crop, image, mask, seed=seed)
        window = crop.get_applied_params()["view"].window
        facing = slice(None, None, -1 if mirror else 1)
        np.testing.assert_array_equal(pixels, image[:, facing][window])
        np.testing.assert_array_equal(labels, mask[:, facing][window])
        assert not np.shares_memory(pixels, image)
        assert not np.shares_memory(labels, mask)


@pytest.mark.parametrize("mirror", [0, 1])
@pytest.mark.parametrize("crop_size", [(5, 6), (12, 3), (40, 40), (1, 1)])
def test_blur_before_the_crop_and_after_it_are_one(crop_size: tuple[int, int], mirror: int) -> None:
    for (height, width), seed in itertools.product([(12, 11), (2, 30), (1, 1)], range(15)):
        image, mask = noise(height, width)
        crop = build(crop_size=crop_size, mirror=mirror, blur=1)
        pixels, _ = run(crop, image, mask, seed=seed)
        view: View = crop.get_applied_params()["view"]
        expected, _ = step_by_step(view, image, mask, blurred=True)
        np.testing.assert_array_equal(pixels, expected[view.window])


class Watched(np.ndarray):
    """Notes the shapes that are taken out of it."""

    taken: list[tuple[int, ...]]

    def __getitem__(self, place: Any) -> Any:
        part = super().__getitem__(place)
        self.taken.append(part.shape)
        return np.asarray(part)


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({}, (20, 30)),
        ({"blur": 1}, (24, 34)),
        ({"scale": (2, 2)}, (15, 20)),
        ({"scale": (0.5, 0.5), "mirror": 1}, (45, 65)),
        ({"rotation": 10, "rotation_probability": 1}, (30, 39)),
    ],
)
def test_no_more_is_read_than_the_crop_shows(
    changes: dict[str, Any], most: tuple[int, int]
) -> None:
    image, mask = noise(200, 300)
    watched = image.view(Watched)
    watched.taken = []
    view = None
    for seed in range(10):
        crop = build(crop_size=(20, 30), **changes)
        run(crop, image, mask, seed=seed)
        view = crop.get_applied_params()["view"]
        view = view.widened(2) if changes.get("blur") else view
        view.cut(watched, interpolation=cv2.INTER_LINEAR, fill=FILL)
    assert len(watched.taken) == 10
    assert (np.array(watched.taken)[:, :2] <= most).all()


def test_memory_maps_are_read_and_left(tmp_path: Any) -> None:
    image, mask = noise(50, 60)
    for name, pixels in (("image", image), ("mask", mask)):
        np.save(tmp_path / f"{name}.npy", pixels)
    maps = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("image", "mask")]
    for seed, changes in itertools.product(range(10), [{}, {"mirror": 1}, PUBLISHED]):
        crop = build(crop_size=(50, 60), **changes)
        pixels, labels = run(crop, *maps, seed=seed)
        assert pixels.flags.writeable
        assert labels.flags.writeable
        np.testing.assert_array_equal(pixels, run(crop, image, mask, seed=seed)[0])


def test_crops_of_more_than_opencv_warps_are_refused() -> None:
    image, mask = np.zeros((2, 40_000, 3), np.uint8), np.zeros((2, 40_000), np.uint8)
    crop = build(crop_size=(60, 60), scale=(1e-3, 1e-3))
    with pytest.raises(UserError, match=r"shows 39004×2 pixels .* up to 32766; divide the image"):
        run(crop, image, mask)
