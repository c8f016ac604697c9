"""Lists that name the images of a split, in the forms that other tools write."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from pspnet.data.datasets.base import Split
from pspnet.data.files import find_files, read_list
from pspnet.errors import Findings, UserError
from pspnet.files.paths import is_file

# names of a split's folder, and of its list with or without _list behind
SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
FOLDERS = (".", "ImageSets/Segmentation", "splits")
# text files that tools write beside the data
_OTHERS = ("readme", "licen", "label", "class", "default")


def split_of(name: str) -> Split | None:
    """Return the split that a folder of this name holds, or None."""
    return next((split for split, its in SPLIT_NAMES.items() if name.lower() in its), None)


def find_lists(root: Path) -> tuple[dict[Split, Path], list[str]]:
    """Find the list of each split, and describe the text files that are none.

    Raises:
        UserError: if two lists are of one split.
    """
    lists: dict[Split, Path] = {}
    unused = []
    for folder in (root / name for name in FOLDERS):
        for path in find_files(folder, ".txt", depth=0) if folder.is_dir() else ():
            stem = path.stem.lower()
            split = split_of(stem.removesuffix("_list").removesuffix("_images"))
            if split is None:
                if not stem.startswith(_OTHERS):
                    unused.append(path.relative_to(root).as_posix())
            elif split in lists:
                raise UserError(
                    f"{lists[split]} and {path} both list the {split} split; keep one of them"
                )
            else:
                lists[split] = path
    notes = [f"{', '.join(unused)}: not read, as no split is named so"] if unused else []
    return lists, notes


def read_members(
    listing: Path, images: Mapping[str, Path], root: Path
) -> list[tuple[str, Path | None]]:
    """Read the names in a list, each with the label that the list names or None.

    A line is an image: its name, or its path below the root or below the folder of images, with or
    without suffix. Behind a space, tab, comma or semicolon the path of its label may follow.

    Args:
        listing: the list.
        images: the image file of each name.
        root: the folder of the data set.

    Raises:
        Findings: naming the lines that are no image, or whose label is missing.
    """
    known = _spellings(images, root)
    members, wrong = [], []
    for line in read_list(listing):
        try:
            members.append(_member(line, known, root))
        except UserError as error:
            wrong.append(f"{listing} {error}")
    if wrong:
        raise Findings(wrong)
    return members


def normal(name: str) -> str:
    """Return a name in one form of Unicode, with slashes between its parts."""
    # macOS stores accents apart from their letters
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _spellings(images: Mapping[str, Path], root: Path) -> dict[str, str]:
    """Return the name that each way of writing an image in a list means."""
    known = {
        normal(name): name for name in images
    }  # before a name with its suffix, as of a.jpg.png
    for name, path in images.items():
        below = path.relative_to(root).as_posix() if path.is_relative_to(root) else name
        for text in (name + path.suffix, below, str(PurePosixPath(below).with_suffix(""))):
            known.setdefault(normal(text), name)
    return known


def _member(line: str, known: Mapping[str, str], root: Path) -> tuple[str, Path | None]:
    for image, label in columns(line):
        name = known.get(normal(image).removeprefix("./").lstrip("/"))
        if name is None:
            continue
        if not label:
            return name, None
        below = normal(label).lstrip("/")
        paths = (root / unicodedata.normalize(form, below) for form in ("NFC", "NFD"))
        path = next(filter(is_file, paths), None)
        if path is None:
            raise UserError(f"names the label {label!r} of {name!r}, which is missing; correct it")
        return name, path
    raise UserError(f"names {line!r}, but there is no such image; write paths below {root}")


def columns(line: str) -> Iterator[tuple[str, str]]:
    """Yield a line, and each division of it in two, as names may hold spaces."""
    yield line, ""
    for gap in re.finditer(r"[\s,;]+", line):
        yield line[: gap.start()], line[gap.end() :]
