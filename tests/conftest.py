"""A data set small enough to train on within seconds, in the form of a user's own folder."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
torch.set_num_threads(1)  # on busy machines two threads wait for each other longer than they work

NAMES = ("ground", "disc", "bar")
COLORS = ((90, 90, 60), (220, 40, 40), (40, 60, 220))


@pytest.fixture(scope="session", autouse=True)
def float32() -> Iterator[None]:
    """Runs of the command line compute alike on all machines, unless a precision is given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pspnet.cli.default_precision", lambda device: "32-true")
        yield


def paint(path: Path, *, count: int, size: tuple[int, int] = (48, 64), seed: int = 0) -> Path:
    """A `Folder` data set of discs and bars on noisy ground, the discs with a void border."""
    generator = np.random.default_rng(seed)
    for part in ("images", "masks"):
        (path / part).mkdir(parents=True)
    for index in range(count):
        image = generator.integers(60, 120, (*size, 3), dtype=np.uint8)
        label = np.zeros(size, np.uint8)
        center = [int(generator.integers(12, side - 12)) for side in size[::-1]]
        row = int(generator.integers(size[0] - 10))
        image[row : row + 10], label[row : row + 10] = (40, 60, 220), 2
        cv2.circle(label, center, 9, 255, -1)
        for picture, value in ((image, (220, 40, 40)), (label, 1)):
            cv2.circle(picture, center, 8, value, -1)
        Image.fromarray(image).save(path / "images" / f"{index:02}.png")
        Image.fromarray(label).save(path / "masks" / f"{index:02}.png")
    lines = [f"names: {list(NAMES)}", f"colors: {[list(c) for c in COLORS]}"]
    lines.append("groups: {shapes: [disc, bar]}")
    (path / "classes.yaml").write_text("\n".join(lines) + "\n")
    names = [f"{index:02}" for index in range(count)]
    cut = count * 2 // 3
    (path / "train.txt").write_text("\n".join(names[:cut]) + "\n")
    (path / "val.txt").write_text("\n".join(names[cut:]) + "\n")
    return path


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 training and 5 validation images of 48 × 64 pixels, three classes."""
    return paint(tmp_path_factory.mktemp("shapes") / "data", count=15)
