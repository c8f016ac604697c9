"""Samples and plain pictures as items of tensors, ready for the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from pspnet.data.files import IMAGE_SUFFIXES, read_image, read_pair
from pspnet.data.source import Sample
from pspnet.data.transforms import seed_transform

if TYPE_CHECKING:
    import albumentations as A


class SegmentationDataset(Dataset[dict[str, Any]]):
    """A split's images and labels.

    An item holds `image`, (3, H, W) float32, `label`, (H, W) int64 of train ids and 255, and
    `name`; samples without labels give items without `label`. The index is a number, or a number
    and the seed of the transform; a number alone is its own seed and always gives the same item.

    Args:
        samples: what to read.
        train_ids: train id of each stored label value, (256,), see `Source.train_ids`.
        transform: maps `image` and `mask` to tensors.
    """

    def __init__(
        self, samples: Sequence[Sample], *, train_ids: np.ndarray, transform: A.Compose
    ) -> None:
        self.samples = samples
        self.train_ids = train_ids
        self.transform = transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        number, seed = index if isinstance(index, tuple) else (index, index)
        sample = self.samples[number]
        seed_transform(self.transform, seed=seed)
        if sample.label is None:
            image = self.transform(image=read_image(sample.image))["image"]
            return {"image": image, "name": sample.name}
        pixels, labels = read_pair(sample, self.train_ids)
        pair = self.transform(image=pixels, mask=labels)
        return {"image": pair["image"], "label": pair["mask"].long(), "name": sample.name}


class PictureDataset(Dataset[dict[str, Any]]):
    """Images to predict on, whether or not there are labels.

    An item holds `image`, (3, H, W) float32, `name`, and `size`, the (H, W) of the file.

    Args:
        samples: what to read.
        transform: maps `image` to a tensor.
    """

    def __init__(self, samples: Sequence[Sample], *, transform: A.Compose) -> None:
        self.samples = samples
        self.transform = transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.samples[index]
        pixels = read_image(sample.image)
        image = self.transform(image=pixels)["image"]
        return {"image": image, "name": sample.name, "size": pixels.shape[:2]}


def find_pictures(path: Path) -> list[Sample]:
    """The picture at a path, or all pictures in the folder there and in its subfolders, sorted.

    A picture's name is its path in the folder without suffix; where two would share it, as a.jpg
    and a.png, it is a_jpg and a_png.

    Raises:
        FileNotFoundError: if there is no such path, or no picture in the folder.
        ValueError: if the file is no picture by its suffix, or pictures would still share a name.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such picture or folder; set data.pictures to one")
    folder = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    files = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
    files = [file for file in files if not file.name.startswith(".")]  # "._a.jpg" of a Mac
    if not files and path.is_dir():
        raise FileNotFoundError(
            f"{path}: no picture in this folder; read are {', '.join(IMAGE_SUFFIXES)}"
        )
    if not files:
        raise ValueError(
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
            raise ValueError(f"{', '.join(files)} would all be written as {name!r}; rename them")
    return names


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Stacks tensors and lists all else, key by key.

    Raises:
        ValueError: if the images differ in size.
    """
    sizes = {item["name"]: tuple(item["image"].shape[1:]) for item in items}
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"images of different sizes in one batch, {sizes}; set data.eval_batch_size=1"
        )
    columns = {key: [item[key] for item in items] for key in items[0]}
    return {
        key: default_collate(column) if isinstance(column[0], torch.Tensor) else column
        for key, column in columns.items()
    }
