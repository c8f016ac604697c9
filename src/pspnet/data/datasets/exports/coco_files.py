"""Annotation files in COCO's format: found under the names that tools give them, and indexed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pspnet.data.datasets.base import Split
from pspnet.data.datasets.exports.json_fields import Field, read_json
from pspnet.data.datasets.exports.shapes import read_size
from pspnet.data.datasets.own_data.base import Entry
from pspnet.data.datasets.own_data.split_lists import split_of
from pspnet.data.files import find_files, require_root
from pspnet.errors import UserError
from pspnet.files.paths import is_file

ROBOFLOW = "_annotations.coco.json"
EXPECTED = "annotations in COCO's format"
SINGLE = (ROBOFLOW, "result.json", "labels.json", "annotations.json")


@dataclass
class Picture:
    """An image that an annotation file lists.

    Args:
        entry: its file and split.
        size: height and width.
        shapes: category and segmentation of each annotation, in the order of the file.
    """

    entry: Entry
    size: tuple[int, int]
    shapes: list[tuple[int, Field]] = field(default_factory=list)


@dataclass
class Index:
    """The content of the annotation files of a data set.

    Args:
        pictures: the images by name.
        categories: the names of the categories by ascending id.
        dropped: the names of those that are only supercategories of others.
    """

    pictures: dict[str, Picture]
    categories: dict[int, str]
    dropped: list[str]


def find_annotations(root: Path) -> list[Path]:
    """Find the annotation files below a folder, under the names of COCO or of a tool."""
    folder = root / "annotations"
    files = find_files(folder, ".json", depth=0) if folder.is_dir() else []
    found = [path for path in files if path.name.startswith("instances_")]
    if not found and root.is_dir():
        folders = sorted(path for path in root.iterdir() if split_of(path.name))
        found = [path / ROBOFLOW for path in folders if is_file(path / ROBOFLOW)]
    return found or [root / name for name in SINGLE if is_file(root / name)][:1]


def read_index(root: Path) -> Index:
    """Read all annotation files of a data set.

    Raises:
        UserError: if there is none, or one is wrong or contradicts another.
    """
    paths = find_annotations(require_root(root))
    if not paths:
        raise UserError(
            f"{root} has no annotations/instances_*.json, train/{ROBOFLOW} or"
            f" {', '.join(SINGLE[1:])}; give the folder above them"
        )
    splits = _splits(paths, root)
    files = [(read_json(path, expected=EXPECTED), splits[path]) for path in paths]
    named = _categories([file for file, _ in files])
    pictures: dict[str, Picture] = {}
    for file, split in files:
        for picture in _annotated(file, split, root, known={*named}):
            name = picture.entry.name
            if name in pictures:
                raise UserError(f"{file.path} lists {name!r} twice; keep one of them")
            pictures[name] = picture
    used = {number for picture in pictures.values() for number, _ in picture.shapes}
    above = [above for name, above in named.values() if name != above]
    unused = [it for it, (name, _) in named.items() if it not in used and name in above]
    categories = {it: name for it, (name, _) in named.items() if it not in unused}
    return Index(pictures, categories, [named[it][0] for it in unused])


def _splits(paths: list[Path], root: Path) -> dict[Path, Split | None]:
    """Return the split that each file's name or folder means."""
    splits = {path: split_of(_subset(path, root).rstrip("0123456789")) for path in paths}
    for split in splits.values():
        same = [str(path) for path, its in splits.items() if its == split]
        if len(same) > 1:
            which = f"the {split} split" if split else "no split by their names"
            raise UserError(f"{' and '.join(same)} are of {which}; keep one for each split")
    return splits


def _categories(files: list[Field]) -> dict[int, tuple[str, object]]:
    """Return name and supercategory of each category, by ascending id."""
    named: dict[int, tuple[str, object]] = {}
    for file in files:
        for it in file.get("categories").items():
            number, name = it.get("id").integer(), it.get("name")
            above = it.get("supercategory").value
            known, _ = named.setdefault(number, (name.text(), above))
            if known != name.value:
                raise name.error(f"category {number} is {known!r}, too; give each id one name")
    return dict(sorted(named.items()))


def _annotated(file: Field, split: Split | None, root: Path, *, known: set[int]) -> list[Picture]:
    images = _images(file, split, root)
    annotations = file.get("annotations")
    for it in annotations.items() if annotations.value is not None else ():
        image, category = it.get("image_id"), it.get("category_id")
        if not isinstance(image.value, int | str) or image.value not in images:
            raise image.error("no image has this id; correct it")
        if category.integer() not in known:
            raise category.error("no category has this id; correct it")
        shape = (category.integer(), _compact(it.get("segmentation")))
        images[image.value].shapes.append(shape)
    return [*images.values()]


def _images(file: Field, split: Split | None, root: Path) -> dict[int | str, Picture]:
    """Return the images that a file lists, by their ids."""
    images: dict[int | str, Picture] = {}
    listed = file.get("images").items()
    names = [_below(it.get("file_name")) for it in listed]
    folder = _image_folder(file.path, names, root)
    label = None if file.get("annotations").value is None else file.path
    subset = f"{_subset(file.path, root)}/" if split else ""
    for it, name in zip(listed, names, strict=True):
        number = it.get("id")
        if not isinstance(number.value, int | str) or number.value in images:
            raise number.error("give each image a number of its own")
        entry = Entry(f"{subset}{name.with_suffix('')}", folder / name, label, split)
        images[number.value] = Picture(entry, read_size(it.get("height"), it.get("width")))
    return images


def _subset(path: Path, root: Path) -> str:
    """Return train2017 of instances_train2017.json, and the folder below root of other files."""
    if path.name.startswith("instances_"):
        return path.stem.removeprefix("instances_")
    return "" if path.parent == root else path.parent.name


def _below(name: Field) -> PurePosixPath:
    path = PurePosixPath(name.text().replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise name.error("give a path below the folder of images")
    return path


def _image_folder(path: Path, names: list[PurePosixPath], root: Path) -> Path:
    """Return the folder in which most of the first images are."""
    subset = _subset(path, root)
    folders = (root / "images" / subset, root / subset, root / "images", root / "data", path.parent)
    return max(folders, key=lambda folder: sum(is_file(folder / name) for name in names[:20]))


def _compact(segmentation: Field) -> Field:
    """Return a segmentation with its polygons as arrays, which take a tenth of the memory."""
    if isinstance(segmentation.value, dict):
        return segmentation
    if segmentation.value in (None, []):
        raise segmentation.error("a box alone is no segmentation; draw a polygon or mask")
    polygons = [it.flat_points(3) for it in segmentation.items()]
    return Field(segmentation.path, polygons, segmentation.place)
