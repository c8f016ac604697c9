"""Samples as items of tensors, and batches of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from pspnet.data.cache import Cache
from pspnet.data.channels import RGB, Channels
from pspnet.data.datasets.base import Sample
from pspnet.data.image_io import is_turned, read_image
from pspnet.data.prediction_images import Frame
from pspnet.data.raster import is_raster
from pspnet.data.transforms.seeding import seed_transform
from pspnet.data.video import Video
from pspnet.errors import UserError

if TYPE_CHECKING:
    import albumentations as A


class SegmentationDataset(Dataset[dict[str, Any]]):
    """Images and labels of a split.

    An item holds `image`, (C, H, W), `label`, (H, W) uint8 of train ids and 255, and `name`;
    samples without labels give items without `label`, those with weights have `weight`, (H, W)
    float32. An index is a number, or a number and the sample's `seed`, which the item then holds,
    too; a number alone seeds the transform by itself and always gives the same item.

    Args:
        samples: the files to read.
        read_label: reads a sample's label, (H, W) uint8 of train ids, see `Source.read_label`.
        read_weight: reads a sample's weights or returns None, see `Source.read_weight`; None in its
            place gives no item any. A transform leaves them as they are.
        transform: takes and returns `image` and `mask`, see `AugmentationBase.build`; None leaves
            them as they are.
        cache: keeps decoded files; None decodes each file whenever it is read.
        channels: of the images, which are uint8 or uint16, see `Channels.scaled`.
        hint: says how to list all files that are wrong, when one is.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        read_label: Callable[[Sample], np.ndarray],
        read_weight: Callable[[Sample, tuple[int, ...]], np.ndarray | None] | None = None,
        transform: A.Compose | None = None,
        cache: Cache | None = None,
        channels: Channels = RGB,
        hint: Callable[[], str] | None = None,
    ) -> None:
        self.hint = hint
        self.samples, self.channels = samples, channels
        self.read_label, self.read_weight = read_label, read_weight
        self.transform = transform
        self.cache = cache

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        number, seed = index if isinstance(index, tuple) else (index, index)
        sample = self.samples[number]
        try:
            pixels = self._read(sample)
        except UserError as error:
            raise UserError(f"{error}; {self.hint()}" if self.hint else str(error)) from None
        if self.transform is not None:
            seed_transform(self.transform, seed=seed)
            pixels = self.transform(**pixels)
        item = {"image": _channels_first(pixels["image"]), "name": sample.name}
        if isinstance(index, tuple):
            item["seed"] = torch.tensor(seed)
        if "mask" not in pixels:
            return item
        weight = (
            None if self.read_weight is None else self.read_weight(sample, pixels["mask"].shape)
        )
        if weight is not None:
            item["weight"] = _tensor(weight)
        return {**item, "label": _tensor(pixels["mask"])}

    def _read(self, sample: Sample) -> dict[str, np.ndarray]:
        if self.cache is None:
            image = read_image(sample.image, self.channels)
        else:
            image = self.cache.image(sample.image)
        if sample.label is None:
            return {"image": image}
        if self.cache is None:
            label = self.read_label(sample)
        else:
            label = self.cache.label(sample, self.read_label)
        check_sizes(sample, image, label)
        return {"image": image, "mask": label}


class ImageDataset(Dataset[dict[str, Any]]):
    """Images to predict on, with or without labels on disk.

    An item holds `image`, (C, H, W), `name`, `size`, the (H, W) of the file, and
    `unreadable`, why it cannot be read, otherwise "". Such an image is black: one file among
    thousands does not end a prediction. So is one that is read by windows, whose path is `raster`,
    otherwise "".

    Args:
        samples: the files to read.
        channels: of the images.
    """

    def __init__(self, samples: Sequence[Sample], *, channels: Channels = RGB) -> None:
        self.samples, self.channels = samples, channels
        self._video: Video | None = None  # the last one, of this loading process

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample, reason, raster = self.samples[index], "", ""
        pixels = np.zeros((64, 64, len(self.channels)), self.channels.dtype)
        try:
            if is_raster(sample.image):
                raster = str(sample.image)
            elif isinstance(sample, Frame):
                pixels = self._frame(sample)
            else:
                pixels = read_image(sample.image, self.channels)
        except UserError as error:
            reason = str(error)
        item = {"image": _channels_first(pixels), "name": sample.name, "raster": raster}
        return {**item, "unreadable": reason, "size": pixels.shape[:2]}

    def _frame(self, sample: Frame) -> np.ndarray:
        if not self.channels.is_rgb:
            raise UserError(f"{sample.image} is a video of RGB, and data.channels are others")
        if self._video is None or self._video.path != sample.image:
            self._video = Video(sample.image)
        return self._video.read(sample.frame)


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack tensors and list all other values, key by key; images (N, C, H, W) are channels-last.

    Raises:
        UserError: if the images differ in size.
    """
    sizes = {item["name"]: tuple(item["image"].shape[1:]) for item in items}
    if len(set(sizes.values())) > 1:
        raise UserError(
            f"images of different sizes in one batch, {sizes}; set data.eval_batch_size=1, or let"
            " data.augmentation return crops of data.crop_size"
        )
    columns = {key: [item[key] for item in items] for key in items[0]}
    batch = {
        key: default_collate(column) if isinstance(column[0], Tensor) else column
        for key, column in columns.items()
        if key != "image"
    }
    # in their own memory format: sorting bytes by channel would take longer than all other steps
    images = default_collate([image.permute(1, 2, 0) for image in columns["image"]])
    return {"image": images.permute(0, 3, 1, 2), **batch}


def check_sizes(sample: Sample, image: np.ndarray, label: np.ndarray) -> None:
    """Refuse a label (H, W) whose size is not that of its image (H, W, C).

    Raises:
        UserError: with both sizes.
    """
    if image.shape[:2] != label.shape:
        (height, width), (rows, columns) = image.shape[:2], label.shape
        turned = image.shape[1::-1] == label.shape and is_turned(sample.image)
        shown = "turned by its EXIF orientation; save the image as it is shown"
        remedy = f", {shown}" if turned else "; give both one size"
        raise UserError(
            f"{sample.label} is {columns}×{rows} pixels, its image {sample.image}"
            f" {width}×{height}{remedy}"
        )


def _channels_first(pixels: np.ndarray) -> Tensor:
    """View an image (H, W, C) as (C, H, W) without copying it."""
    return _tensor(pixels).permute(2, 0, 1)


def _tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.require(pixels, requirements="W"))  # those of a cache are read-only
