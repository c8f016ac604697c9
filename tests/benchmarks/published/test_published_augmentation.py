"""The published augmentation with prescribed random numbers."""

import cv2
import numpy as np
import torch

from benchmarks.published.augmentation import Stepwise, composition
from benchmarks.synthetic import MEAN, STD, random_image, random_label

SIZE, CROP = (70, 90), 48


class Draws:
    """Replace `random.Random`: give numbers in turn, and the end of each range."""

    def __init__(self, *numbers: float, factor: float, angle: float = 0.0) -> None:
        self.numbers, self.uniforms = iter(numbers), iter((factor, angle))

    def uniform(self, low: float, high: float) -> float:
        value = next(self.uniforms)
        assert low <= value <= high
        return value

    def random(self) -> float:
        return next(self.numbers)

    def randint(self, low: int, high: int) -> int:
        assert low == 0 <= high
        return high


def pair() -> tuple[np.ndarray, np.ndarray]:
    return random_image(SIZE, seed=0), random_label(SIZE, classes=5, seed=0)


def normalized(image: np.ndarray) -> torch.Tensor:
    pixels = (image / 255 - np.array(MEAN)) / np.array(STD)
    return torch.from_numpy(pixels.transpose(2, 0, 1)).float()


def run(draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
    return Stepwise(CROP, mean=MEAN, std=STD)(*pair(), draws)


OFF = 0.9


def test_a_crop_of_the_image_itself():
    image, ids = pair()
    pixels, found = run(Draws(OFF, OFF, OFF, factor=1.0))
    torch.testing.assert_close(pixels, normalized(image[-CROP:, -CROP:]), atol=1e-5, rtol=1e-5)
    assert torch.equal(found, torch.from_numpy(ids[-CROP:, -CROP:].astype(np.int64)))


def test_flip_and_blur():
    image, ids = pair()
    pixels, found = run(Draws(OFF, 0.1, 0.1, factor=1.0))
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    smooth = cv2.sepFilter2D(image.astype(np.float64), -1, kernel, kernel)[:, ::-1]
    expected = normalized(smooth[-CROP:, -CROP:])
    assert (pixels - expected).abs().max() < 0.05  # OpenCV's sigma of 1.1 is nearly that kernel
    assert torch.equal(found, torch.from_numpy(ids[:, ::-1][-CROP:, -CROP:].astype(np.int64)))


def test_small_images_are_padded_centrally_with_ignored_pixels():
    pixels, found = run(Draws(OFF, OFF, OFF, factor=0.5))
    rows, columns = slice(6, 41), slice(1, 46)  # 35 × 45 pixels in 48 × 48
    inside = torch.zeros(CROP, CROP, dtype=torch.bool)
    inside[rows, columns] = True
    assert pixels[:, ~inside].abs().max() < 1e-5
    assert (found[~inside] == 255).all()
    assert (found[inside] != 255).float().mean() > 0.5


def test_rotation_turns_about_the_middle_and_uncovers_the_mean():
    _, found = run(Draws(0.1, OFF, OFF, factor=0.5, angle=10.0))
    _, plain = run(Draws(OFF, OFF, OFF, factor=0.5))
    assert found[24, 24] == plain[24, 24]
    inside = slice(6, 41), slice(1, 46)
    assert (found[inside] == 255).sum() > (plain[inside] == 255).sum()
    assert found[6, 1] == found[40, 1] == found[6, 45] == found[40, 45] == 255


def test_the_composition_gives_the_same_kind_of_pair():
    transform = composition(crop=CROP, mean=MEAN, std=STD)
    image, ids = pair()
    shares = []
    for seed in range(60):
        transform.set_random_seed(seed)
        found = transform(image=image, mask=ids)
        assert found["image"].shape == (3, CROP, CROP)
        assert found["image"].dtype == torch.float32
        assert found["mask"].shape == (CROP, CROP)
        assert set(found["mask"].unique().tolist()) <= {*range(5), 255}
        shares.append((found["image"].abs().amax(0) < 0.02).float().mean().item())
    assert min(shares) < 0.01 < 0.1 < max(shares)  # of padding, as sizes vary
