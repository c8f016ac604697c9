"""A user's own images and labels in a folder, with the classes in a YAML file beside them."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np

from pspnet.data.datasets.base import Sample, Source, Split
from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.data.datasets.classes_yaml import read_classes
from pspnet.data.files import IMAGE_SUFFIXES, check_samples, find_files, read_list, require
from pspnet.errors import UserError
from pspnet.files.paths import local_path


class Folder(Source):
    """A user's own data set; a mask is a PNG of class indices in one channel, 255 is ignored.

        root/
            classes.yaml
            images/    any/subfolders/a.jpg    or .jpeg .png .bmp .tif .tiff .webp
            masks/     any/subfolders/a.png    at the same path as its image
            train.txt  val.txt  test.txt       optional, one `any/subfolders/a` per line

    `classes.yaml`, in which only `names` is required:

        names: [background, cat, dog]                  # values 0, 1, 2 of the masks
        colors: [[0, 0, 0], [200, 0, 0], [0, 0, 200]]  # RGB
        groups: {animals: [cat, dog]}                  # mIoU is also logged for each group
        ignore: [9]                                    # other values of the masks to be ignored

    Without `train.txt` and `val.txt` all images that `test.txt` does not name are divided by
    `val_fraction`: in the same way on every machine, and nearly the same once images are added.
    The test split is named by `test.txt`; it has no labels if none of its images has a mask.

    Args:
        root: the folder above.
        val_fraction: share of images to validate on, between 0 and 1, both excluded.
        seed: seed of the division.

    Raises:
        UserError: if `val_fraction` is out of range.
    """

    def __init__(
        self, root: str | Path = "data/folder", *, val_fraction: float = 0.2, seed: int = 0
    ) -> None:
        if not 0 < val_fraction < 1:
            raise UserError(f"val_fraction={val_fraction}: give a share between 0 and 1, as 0.2")
        self.root = local_path(root, option="root")
        self.val_fraction = val_fraction
        self.seed = seed

    @cached_property
    def classes(self) -> Classes:
        return self._description[0]

    def train_ids(self) -> np.ndarray:
        table = super().train_ids()
        table[self._description[1]] = IGNORE
        return table

    def samples(self, split: Split) -> list[Sample]:
        folder = require(self.root / "images", "the folder of images")
        images, masks = self._images_and_masks()
        names, listing = self._names(split, sorted(images)), self.root / f"{split}.txt"
        unknown = next((name for name in names if name not in images), None)
        if unknown is not None:
            raise UserError(
                f"{listing} names {unknown!r}, but there is no such image in {folder};"
                " write paths below it, without suffix"
            )
        labeled = split != "test" or any(name in masks for name in names)
        samples = [
            Sample(name, images[name], masks.get(name, self._mask(name)) if labeled else None)
            for name in names
        ]
        return check_samples(samples, listing if listing.exists() else folder)

    @cached_property
    def _description(self) -> tuple[Classes, list[int]]:
        return read_classes(self.root / "classes.yaml")

    def _mask(self, name: str) -> Path:
        return self.root / "masks" / f"{name}.png"

    def _images_and_masks(self) -> tuple[dict[str, Path], dict[str, Path]]:
        folder = self.root / "images"
        images, masks = _by_stem(folder, IMAGE_SUFFIXES), _by_stem(self.root / "masks", (".png",))
        stray = min(masks.keys() - images.keys(), default=None)
        if stray is not None:
            raise UserError(
                f"{masks[stray]} has no image {folder / stray} (with {', '.join(IMAGE_SUFFIXES)});"
                " add the image or remove the mask"
            )
        return images, masks

    def _names(self, split: Split, images: list[str]) -> list[str]:
        lists = {name: self.root / f"{name}.txt" for name in ("train", "val", "test")}
        names = {name: read_list(path) for name, path in lists.items() if path.exists()}
        if "train" in names or "val" in names:
            for name in ("train", "val"):
                require(lists[name], "a list, as for the other split; give both or neither")
        elif split != "test":
            held_out = set(names.get("test", ()))
            names |= self._divided([image for image in images if image not in held_out])
        if split == "test":
            require(lists["test"], "the list of test images")
        seen_twice = set(names.get("train", ())) & {*names.get("val", ()), *names.get("test", ())}
        if seen_twice:
            raise UserError(
                f"{lists['train']} names {min(seen_twice)!r}, as does a list to evaluate on;"
                " keep every image in one list"
            )
        return names[split]

    def _divided(self, images: list[str]) -> dict[str, list[str]]:
        if len(images) < 2:
            raise UserError(
                f"{self.root / 'images'} has {len(images)} images to train and validate on;"
                " at least 2 are needed"
            )
        # ranking by a digest needs no state and moves few images when others are added
        ranked = sorted(
            images, key=lambda name: hashlib.sha256(f"{self.seed} {name}".encode()).digest()
        )
        count = min(max(round(len(images) * self.val_fraction), 1), len(images) - 1)
        return {"train": sorted(ranked[count:]), "val": sorted(ranked[:count])}


def _by_stem(top: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Map the paths of files below `top`, without suffix, to the files."""
    found: dict[str, Path] = {}
    for path in find_files(top, suffixes) if top.exists() else ():
        stem = path.relative_to(top).with_suffix("").as_posix()
        if stem in found:
            raise UserError(f"{found[stem]} and {path} have one stem; rename one of them")
        found[stem] = path
    return found
