"""A data set small enough to train on within seconds, in the form of a user's own folder."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

NAMES = ("ground", "disc", "bar")
COLORS = ((90, 90, 60), (220, 40, 40), (40, 60, 220))


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
