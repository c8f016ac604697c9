"""The places of images and masks below a root, in the layouts that people and tools write."""

from __future__ import annotations

import glob
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pspnet.data.datasets.base import Split
from pspnet.data.datasets.own_data.split_lists import SPLIT_NAMES, normal, split_of
from pspnet.data.files import IMAGE_SUFFIXES, find_files, require, require_root
from pspnet.data.label_io import LABEL_SUFFIXES
from pspnet.errors import Findings, UserError

IMAGES = ("images", "image", "imgs", "img", "img_dir", "JPEGImages")
MASKS = ("masks", "mask", "labels", "label", "annotations", "ann_dir", "SegmentationClass")
BESIDE = ("_masks", "_mask", "_labels", "_label", "annot")  # train_labels/ beside train/
SUFFIXES = ("_mask", "_label", "_labels", "_gt", "_seg", "_L")  # a_mask.png beside a.jpg
SPLIT = "{split}"
KNOWN = ("Thumbs.db", "desktop.ini", "_classes.csv")  # of systems and tools, and no data


@dataclass(frozen=True)
class Layout:
    """Folders below a root.

    Args:
        images: the folder of images, in which {split} stands for the folder of a split.
        masks: the folder of masks, likewise; it may be that of the images.
        suffix: what the name of a mask has more than that of its image.
    """

    images: str
    masks: str
    suffix: str = ""


@dataclass
class Found:
    """Files of a layout: images and masks by name, and the number of other files by suffix."""

    images: dict[str, Path] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)


def find_layout(
    root: Path, *, images: str | None = None, masks: str | None = None, suffix: str | None = None
) -> Layout:
    """Find where images and masks are; what is given is not looked for.

    Raises:
        UserError: if the root is missing, there are no images, or masks may be in several places.
    """
    require_root(root)
    if images is None:
        images = _images(root)
    if masks is None:
        masks = _masks(root, images)
    if suffix is None:
        suffix = "_mask" if images == masks else ""
    return Layout(images, masks, suffix)


def _images(root: Path) -> str:
    for name in IMAGES:
        if (root / name).is_dir():
            return name
    for folder in _split_folders(root):
        inner = next((name for name in IMAGES if (folder / name).is_dir()), None)
        return SPLIT if inner is None else f"{SPLIT}/{inner}"
    require(root / IMAGES[0], "the folder of images, or train/images; or set data.source.images")
    raise UserError(f"{root / IMAGES[0]} is no folder; expected the images")


def _masks(root: Path, images: str) -> str:
    """Return the one folder that masks may be in."""
    if images == SPLIT:
        names = [f"{SPLIT}{ending}" for ending in BESIDE]
    else:
        parent = images.rpartition("/")[0]
        names = [f"{parent}/{name}" if parent else name for name in MASKS]
    split = next((folder.name for folder in _split_folders(root)), "")
    found = [name for name in names if (root / name.replace(SPLIT, split)).is_dir()]
    if len(found) > 1:
        raise UserError(
            f"{root} has the folders {', '.join(found)}; say which holds the masks:"
            f" data.source.masks={found[0]}"
        )
    if not found:
        return SPLIT if images == SPLIT else names[0]
    return found[0]


def _split_folders(root: Path) -> list[Path]:
    """Return the folders of splits, that of the training images first."""
    folders = [path for path in root.iterdir() if path.is_dir() and split_of(path.name)]
    order = [*SPLIT_NAMES]
    return sorted(folders, key=lambda path: (order.index(split_of(path.name) or "test"), path.name))


def find_pairs(root: Path, layout: Layout) -> tuple[Found, dict[str, Split]]:
    """Find images and masks by name, and the split of each name whose folder tells it.

    Raises:
        Findings: naming the masks that have no image.
        UserError: if two files have one name.
    """
    found, splits = Found(), {}
    if SPLIT in layout.images:
        for folder in _split_folders(root):
            its = _pairs(root, layout, folder.name)
            for name in its.images:
                splits[f"{folder.name}/{name}"] = split_of(folder.name)
            for mine, theirs in ((found.images, its.images), (found.masks, its.masks)):
                mine |= {f"{folder.name}/{name}": path for name, path in theirs.items()}
            found.unread += its.unread
    else:
        found = _pairs(root, layout, "")
        splits = {name: split_of(name.partition("/")[0]) for name in found.images if "/" in name}
    return found, {name: split for name, split in splits.items() if split is not None}


def _pairs(root: Path, layout: Layout, split: str) -> Found:
    """Find the images and masks of the layout where a folder stands for {split}."""
    images = root / layout.images.replace(SPLIT, split)
    masks = root / layout.masks.replace(SPLIT, split)
    found = Found()
    for path in find_files(require(images, "the folder of images"), ""):
        name = normal(path.relative_to(images).with_suffix("").as_posix())
        if images == masks and name.endswith(layout.suffix):
            continue
        if path.suffix.lower() in IMAGE_SUFFIXES:
            _put(found.images, name, path)
        elif path.name not in KNOWN:
            found.unread[path.suffix.lower() or path.name] += 1
    for path in find_files(masks, "") if masks.is_dir() else ():
        name = normal(path.relative_to(masks).with_suffix("").as_posix())
        if images == masks and not name.endswith(layout.suffix):
            continue
        if path.suffix.lower() in LABEL_SUFFIXES and name.endswith(layout.suffix):
            _put(found.masks, name.removesuffix(layout.suffix), path)
        elif path.name not in KNOWN:
            found.unread[path.suffix.lower() or path.name] += 1
    _refuse_strays(found, images)
    return found


def _put(files: dict[str, Path], name: str, path: Path) -> None:
    if name in files:
        raise UserError(f"{files[name]} and {path} have one stem; rename one of them")
    files[name] = path


def _refuse_strays(found: Found, images: Path) -> None:
    stray = sorted(found.masks.keys() - found.images.keys())
    if stray and len(stray) == len(found.masks):
        suffix = next((it for it in SUFFIXES if stray[0].endswith(it)), None)
        if suffix is not None:
            raise UserError(
                f"{found.masks[stray[0]]} has no image of its name; if masks end in {suffix}, set"
                f" data.source.mask_suffix={suffix}"
            )
    if stray:
        suffixes = ", ".join(IMAGE_SUFFIXES)
        raise Findings(
            [
                f"{found.masks[name]} has no image {images / name} (with {suffixes}); add the image"
                " or remove the mask"
                for name in stray
            ]
        )


def missing_mask(root: Path, layout: Layout, name: str, image: Path) -> str:
    """Return the error about an image without a mask, which names a file that is none of ours."""
    split, below = "", name
    if SPLIT in layout.images:
        split, _, below = name.partition("/")
    mask = root / layout.masks.replace(SPLIT, split) / f"{below}{layout.suffix}"
    others = [path for path in mask.parent.glob(f"{glob.escape(mask.name)}.*") if path != image]
    if others:
        return (
            f"{others[0]}, the label of {image}, is not read; masks must be"
            f" {', '.join(LABEL_SUFFIXES)}, which are exact"
        )
    return f"{mask}.png is missing: expected the label of {image}"
