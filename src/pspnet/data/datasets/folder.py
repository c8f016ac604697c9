"""A user's own images and masks, with the classes in a YAML file beside them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pspnet.data.datasets.base import Sample, Source, Split
from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.data.image_io import IMAGE_SUFFIXES, check_samples, read_list, require
from pspnet.errors import UserError


class Folder(Source):
    """A user's own data set; a mask is a PNG of class indices in one channel, 255 is ignored.

        root/
            classes.yaml
            images/    any/subfolders/a.jpg    or .jpeg .png .bmp .tif .tiff .webp
            masks/     any/subfolders/a.png    at the same path as its image
            train.txt  val.txt  test.txt       optional, `any/subfolders/a` a line

    `classes.yaml`, of which only `names` must be given:

        names: [background, cat, dog]                  # values 0, 1, 2 of the masks
        colors: [[0, 0, 0], [200, 0, 0], [0, 0, 200]]  # RGB
        groups: {animals: [cat, dog]}                  # mIoU is also logged for each group
        ignore: [9]                                    # further values of the masks to be ignored

    Without `train.txt` and `val.txt` all images that `test.txt` does not name are divided by
    `val_fraction`: the same way on every machine, and nearly the same once images are added. The
    test split is what `test.txt` names; it has no labels if none of its images has a mask.

    Args:
        root: see above.
        val_fraction: the share of images to validate on, between 0 and 1, both excluded.
        seed: another number divides the images otherwise.

    Raises:
        ValueError: if `val_fraction` is out of range.
    """

    def __init__(
        self, root: str | Path = "data/folder", *, val_fraction: float = 0.2, seed: int = 0
    ) -> None:
        if not 0 < val_fraction < 1:
            raise UserError(f"val_fraction={val_fraction}: give a share between 0 and 1, as 0.2")
        self.root = Path(root)
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
        images, masks = _files(folder, IMAGE_SUFFIXES), _files(self.root / "masks", (".png",))
        stray = min(masks.keys() - images.keys(), default=None)
        if stray is not None:
            raise UserError(
                f"{masks[stray]} has no image {folder / stray} (with {', '.join(IMAGE_SUFFIXES)});"
                " add the image or remove the mask"
            )
        listing = self.root / f"{split}.txt"
        names = self._names(split, sorted(images))
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
                f"{lists['train']} names {min(seen_twice)!r}, as do the images to be measured on;"
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


def read_classes(path: Path) -> tuple[Classes, list[int]]:
    """The classes that a `classes.yaml` describes, and the values of masks that it ignores.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file and what is wrong with it.
    """
    given = _mapping(path)
    names, colors = given["names"], given.get("colors")
    groups, ignore = given.get("groups", {}), given.get("ignore", [])
    _check(path, "names", _wrong(names, _is_text), "a list of texts (in quotes where yes, no or 1)")
    if colors is None:
        colors = default_colors(len(names))
    _check(path, "colors", _wrong(colors, _is_color), "a list of [red, green, blue], 0 to 255 each")
    wrong = _wrong([*groups], _is_text) if isinstance(groups, dict) else groups
    _check(path, "groups", wrong, "a list of class names for each group's name")
    wrong = [members for members in groups.values() if _wrong(members, _is_text) != []]
    _check(path, "groups", wrong, "a list of class names for each group's name")
    _check(path, "ignore", _wrong(ignore, _is_byte), "a list of values of the masks, 0 to 255 each")
    try:
        classes = Classes(
            names=tuple(names),
            colors=tuple((red, green, blue) for red, green, blue in colors),
            groups={group: tuple(members) for group, members in groups.items()},
        )
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return classes, ignore


def default_colors(count: int) -> list[list[int]]:
    """Distinct colors for up to 255 classes, none of them black: those of PASCAL VOC from 1 on."""
    # bits 0, 3, 6 of the number are the high bits of red, and so on: neighbors differ most
    return [
        [
            sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3))
            for channel in range(3)
        ]
        for number in range(1, count + 1)
    ]


def _files(top: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files by their path below `top` without suffix; hidden ones are left out."""
    found: dict[str, Path] = {}
    for folder, _, names in os.walk(top, followlinks=True):
        for path in (Path(folder, name) for name in sorted(names) if not name.startswith(".")):
            stem = path.relative_to(top).with_suffix("").as_posix()
            if path.suffix.lower() not in suffixes:
                continue
            if stem in found:
                raise UserError(f"{found[stem]} and {path} have one stem; rename one of them")
            found[stem] = path
    return found


def _mapping(path: Path) -> dict[Any, Any]:
    require(path, "the names of the classes, as `names: [background, cat]`")
    try:
        given = yaml.safe_load(path.read_bytes())
    except yaml.MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line + 1
        raise UserError(f"{path} is no YAML, line {line}: {error.problem}; correct it") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML ({' '.join(str(error).split())}); correct it") from None
    if not isinstance(given, dict) or "names" not in given:
        raise UserError(f"{path} has no names; write them as `names: [background, cat]`")
    unknown = sorted(map(str, given.keys() - {"names", "colors", "groups", "ignore"}))
    if unknown:
        raise UserError(f"{path} has unknown keys {unknown}; known: names, colors, groups, ignore")
    return given


def _check(path: Path, key: str, wrong: object, expected: str) -> None:
    if wrong != []:
        raise UserError(f"{path}: {key}: {wrong!r} is given; give {expected}")


def _wrong(value: object, is_right: Callable[[object], bool]) -> object:
    """The items of a list that are not right; what is no list is wrong as a whole."""
    return [item for item in value if not is_right(item)] if isinstance(value, list) else value


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_byte(value: object) -> bool:
    return type(value) is int and 0 <= value <= 255  # a bool is an int, too


def _is_color(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_byte, value))
