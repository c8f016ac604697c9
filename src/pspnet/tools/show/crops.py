"""The first training crops of a data module."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pspnet.data.datamodule import SegmentationData


class Crop(NamedTuple):
    """A training crop: RGB (H, W, 3) uint8, its label (H, W) uint8, and its image's name."""

    picture: np.ndarray
    label: np.ndarray
    name: str


def first_crops(data: SegmentationData, count: int) -> tuple[list[Crop], int]:
    """Return the first crops of a training with this seed, and the number of training images.

    Order and augmentation are those of the training's first steps.

    Raises:
        UserError: if a file is missing or wrong.
    """
    data.workers, data.check = 0, False  # some crops are read at once
    data.batch_size = 1  # changes no crop, and needs no full batch
    data.prepare_data()
    data.setup("fit")
    crops: list[Crop] = []
    for batch in data.train_dataloader():
        for image, label, name in zip(batch["image"], batch["label"], batch["name"], strict=True):
            pixels = image.permute(1, 2, 0).numpy()
            crops.append(Crop(data.channels.picture(pixels), label.numpy(), name))
        if len(crops) >= count:
            break
    return crops[:count], len(data.train_set)
