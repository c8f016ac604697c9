"""Images and labels on which a network is explained, as the network takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pspnet.data.datamodule import SegmentationData
from pspnet.data.dataset import SegmentationDataset
from pspnet.data.image_io import read_image
from pspnet.data.transforms.normalize import normalize
from pspnet.errors import UserError
from pspnet.tools.explain.pyramid_ablation import Pair


class NamedImage(NamedTuple):
    """An image to show: its name, (H, W, 3) uint8, and normalized, (3, H, W)."""

    name: str
    pixels: np.ndarray
    tensor: Tensor


class Samples:
    """The images and labels of a validation split, read while they are iterated over.

    Args:
        data: the data.
        limit: number of images, spread evenly over the split; None is all.

    Raises:
        UserError: naming the first path that the data lacks, or if images have no labels.
    """

    def __init__(self, data: SegmentationData, *, limit: int | None) -> None:
        try:
            data.source.prepare()
            data.setup("validate")
        except UserError as error:
            raise UserError(f"{error}; or give --root=FOLDER, where the data is") from error
        self.data = data
        self.dataset: SegmentationDataset = data.val_set
        self.total = len(self.dataset)
        self.chosen = _spread(range(self.total), min(limit or self.total, self.total))

    def __len__(self) -> int:
        return len(self.chosen)

    def __iter__(self) -> Iterator[Pair]:
        """Yield each normalized image (3, H, W) with its label (H, W)."""
        for index in self.chosen:
            item = self.dataset[index]
            yield _normalized(item["image"], self.data), item["label"].long()

    def crops(self, size: tuple[int, int], *, count: int) -> list[Tensor]:
        """Return the middles of some images, (3, *size), padded with the mean color."""
        images = (self.dataset[index]["image"] for index in _spread(self.chosen, count))
        return [center(_normalized(image, self.data), size) for image in images]

    def shown(self, count: int) -> list[NamedImage]:
        """Return some images to show."""
        samples = [self.dataset.samples[index] for index in _spread(self.chosen, count)]
        return [load_image(self.data, x.image)._replace(name=x.name) for x in samples]


def load_image(data: SegmentationData, path: Path) -> NamedImage:
    """Read an image file to show.

    Raises:
        UserError: if there is no such file, or it is no image.
    """
    pixels = read_image(path)
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    return NamedImage(path.name, pixels, _normalized(image, data))


def center(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the middle of an image (3, H, W) at a size, padded with 0 where it is smaller."""
    rows, columns = (want - have for want, have in zip(size, image.shape[1:], strict=True))
    top, left = rows // 2, columns // 2  # below 0 they crop
    return F.pad(image, (left, columns - left, top, rows - top))


def _normalized(image: Tensor, data: SegmentationData) -> Tensor:
    """Normalize an image (3, H, W) uint8."""
    return normalize(image, mean=data.mean, std=data.std).contiguous()


def _spread(indices: range | list[int], count: int) -> list[int]:
    """Return some of the indices, spread evenly from the first to the last."""
    places = np.linspace(0, len(indices) - 1, min(count, len(indices))).round()
    return [indices[int(place)] for place in places]
