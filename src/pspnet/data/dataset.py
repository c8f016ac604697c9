"""Samples and plain pictures as items of tensors, of bytes until they are on the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from pspnet.data.cache import Cache
from pspnet.data.datasets.base import Sample
from pspnet.data.image_io import IMAGE_SUFFIXES, read_image, read_pair
from pspnet.data.transforms.pipeline import seed_transform
from pspnet.errors import UserError

if TYPE_CHECKING:
    import albumentations as A


class SegmentationDataset(Dataset[dict[str, Any]]):
    """A split's images and labels.

    An item holds `image`, (3, H, W) uint8, see `pspnet.data.transforms.pipeline.normalize`,
    `label`, (H, W) uint8 of train ids and 255, and `name`; samples without labels give items
    without `label`. The index is a number, or a number and the seed of the transform; a number
    alone is its own seed and always gives the same item.

    Args:
        samples: what to read.
        train_ids: train id of each stored label value, (256,), see `Source.train_ids`.
        transform: of `image` and `mask`, as of `train_transform`; None leaves them as they are.
        cache: keeps what was decoded; None decodes each file whenever it is asked for.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        train_ids: np.ndarray,
        transform: A.Compose | None = None,
        cache: Cache | None = None,
    ) -> None:
        self.samples = samples
        self.train_ids = train_ids
        self.transform = transform
        self.cache = cache

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        number, seed = index if isinstance(index, tuple) else (index, index)
        sample = self.samples[number]
        read = read_image if self.cache is None else self.cache.image
        if sample.label is None:
            pixels = {"image": read(sample.image)}
        else:
            image, label = read_pair(sample, self.train_ids, cache=self.cache)
            pixels = {"image": image, "mask": label}
        if self.transform is not None:
            seed_transform(self.transform, seed=seed)
            pixels = self.transform(**pixels)
        item = {"image": _channels_first(pixels["image"]), "name": sample.name}
        return item if sample.label is None else {**item, "label": _tensor(pixels["mask"])}


class PictureDataset(Dataset[dict[str, Any]]):
    """Images to predict on, whether or not there are labels.

    An item holds `image`, (3, H, W) uint8, `name`, and `size`, the (H, W) of the file.

    Args:
        samples: what to read.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.samples[index]
        pixels = read_image(sample.image)
        return {
            "image": _channels_first(pixels),
            "name": sample.name,
            "size": pixels.shape[:2],
        }


def find_pictures(path: Path) -> list[Sample]:
    """The picture at a path, or all pictures in the folder there and in its subfolders, sorted.

    A picture's name is its path in the folder without suffix; where two would share it, as a.jpg
    and a.png, it is a_jpg and a_png.

    Raises:
        FileNotFoundError: if there is no such path, or no picture in the folder.
        ValueError: if the file is no picture by its suffix, or pictures would still share a name.
    """
    if not path.exists():
        raise UserError(f"{path}: no such picture or folder; set data.pictures to one")
    folder = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    files = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
    files = [file for file in files if not file.name.startswith(".")]  # "._a.jpg" of a Mac
    if not files and path.is_dir():
        raise UserError(f"{path}: no picture in this folder; read are {', '.join(IMAGE_SUFFIXES)}")
    if not files:
        raise UserError(
            f"{path}: not a picture by its suffix; read are {', '.join(IMAGE_SUFFIXES)}"
        )
    names = _names([file.relative_to(folder) for file in files])
    return [Sample(name, file, None) for name, file in zip(names, files, strict=True)]


def _names(paths: list[Path]) -> list[str]:
    shared = Counter(path.with_suffix("") for path in paths)
    names = [
        path.with_suffix("").as_posix()
        + (path.suffix.replace(".", "_") if shared[path.with_suffix("")] > 1 else "")
        for path in paths
    ]
    for name, count in Counter(names).items():
        if count > 1:
            files = [str(path) for path, its in zip(paths, names, strict=True) if its == name]
            raise UserError(f"{', '.join(files)} would all be written as {name!r}; rename them")
    return names


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Stacks tensors and lists all else, key by key; images (N, 3, H, W) are channels-last.

    Raises:
        ValueError: if the images differ in size.
    """
    sizes = {item["name"]: tuple(item["image"].shape[1:]) for item in items}
    if len(set(sizes.values())) > 1:
        raise UserError(
            f"images of different sizes in one batch, {sizes}; set data.eval_batch_size=1"
        )
    columns = {key: [item[key] for item in items] for key in items[0]}
    batch = {
        key: default_collate(column) if isinstance(column[0], Tensor) else column
        for key, column in columns.items()
        if key != "image"
    }
    # as they lie in memory: to sort their bytes by channel would take longer than all else here
    images = default_collate([image.permute(1, 2, 0) for image in columns["image"]])
    return {"image": images.permute(0, 3, 1, 2), **batch}


def _channels_first(pixels: np.ndarray) -> Tensor:
    """An image (H, W, 3) as (3, H, W), of which the memory is as it was."""
    return _tensor(pixels).permute(2, 0, 1)


def _tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.require(pixels, requirements="W"))  # a cache's are read-only
