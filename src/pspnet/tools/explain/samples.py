"""The images that a network is explained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pspnet.data.datamodule import SegmentationData
from pspnet.data.dataset import SegmentationDataset
from pspnet.data.image_io import read_image
from pspnet.data.transforms.normalize import normalize
from pspnet.errors import UserError
from pspnet.tools.explain.effective import centered
from pspnet.tools.explain.silencing import Pair

Shown = tuple[str, np.ndarray, Tensor]  # name, (H, W, 3) uint8, normalized (3, H, W)


class Samples:
    """Images and labels of a validation split, some or all, read as they are asked for.

    Args:
        data: the data.
        limit: how many, spread evenly over the split; None is all.

    Raises:
        FileNotFoundError: naming the first path that the data lacks.
        ValueError: if images have no labels.
    """

    def __init__(self, data: SegmentationData, *, limit: int | None) -> None:
        try:
            data.source.prepare()
            data.setup("validate")
        except UserError as error:
            raise UserError(f"{error}; or give --root=FOLDER, where the data is") from error
        self.data = data
        self.set: SegmentationDataset = data.val_set
        self.total = len(self.set)
        count = min(limit or self.total, self.total)
        self.chosen = _spread(list(range(self.total)), count)

    def pairs(self) -> Iterator[Pair]:
        """Every image with its label."""
        for index in self.chosen:
            item = self.set[index]
            yield _taken(item["image"], self.data), item["label"].long()

    def crops(self, size: tuple[int, int], *, count: int) -> list[Tensor]:
        """The middles of some images, (3, *size) each."""
        images = (self.set[index]["image"] for index in _spread(self.chosen, count))
        return [centered(_taken(image, self.data), size) for image in images]

    def pictures(self, count: int) -> list[Shown]:
        """Some images, to be shown."""
        samples = [self.set.samples[index] for index in _spread(self.chosen, count)]
        return [(sample.name, *picture(self.data, sample.image)[1:]) for sample in samples]


def picture(data: SegmentationData, path: Path) -> Shown:
    """An image file as it is, and as the network takes it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no picture.
    """
    pixels = read_image(path)
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    return path.name, pixels, _taken(image, data)


def _taken(image: Tensor, data: SegmentationData) -> Tensor:
    """An image (3, H, W) uint8 as the network takes it."""
    return normalize(image, mean=data.mean, std=data.std).contiguous()


def _spread(indices: list[int], count: int) -> list[int]:
    """Some of the indices, spread evenly from the first to the last."""
    places = np.linspace(0, len(indices) - 1, min(count, len(indices))).round()
    return [indices[int(place)] for place in places]
