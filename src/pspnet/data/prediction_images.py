"""The images to predict on: a file, a folder, a list of files, or the frames of a video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pspnet.data.datasets.base import Sample
from pspnet.data.files import IMAGE_SUFFIXES, find_files, note_unread, read_list
from pspnet.data.video import VIDEO_SUFFIXES, count_frames
from pspnet.errors import Findings, UserError
from pspnet.files.paths import is_file

LIST_SUFFIX = ".txt"
READ = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)


@dataclass(frozen=True)
class Frame(Sample):
    """A frame of a video, whose file is `image`; `frame` counts from 0."""

    frame: int = 0


def find_images(path: Path) -> list[Sample]:
    """Find the images that a path stands for, in the order of their names.

    Args:
        path: an image; a folder, whose subfolders are searched, too; a .txt file with the path of
            an image in each line, seen from its own folder; or a video, of which each frame is an
            image. Folders and lists may hold videos.

    Returns:
        Samples without labels. An image's name is its path below the folder without suffix; where
        two would share it, as a.jpg and a.png, the names are a_jpg and a_png. Frames are named
        VIDEO/000000 and so on. A note counts the files of a folder that are not read.

    Raises:
        UserError: if there is no such path, no image, a suffix that is not read, or if images would
            still share a name.
    """
    every = find_files(path, "") if path.is_dir() else None
    if every is not None:
        note_unread("data.images", every, READ)
    files = image_files(path, every)
    names = _names([*files.values()])
    return [
        sample
        for file, name in zip(files, names, strict=True)
        for sample in (_frames(file, name) if _is_video(file) else [Sample(name, file, None)])
    ]


def image_files(path: Path, every: Sequence[Path] | None = None) -> dict[Path, Path]:
    """Return the files that `find_images` finds, and the paths that their names follow from.

    Args:
        path: an image, a folder, a list or a video.
        every: the files of the folder, where they are known.

    Raises:
        UserError: as there, but for names that are shared.
    """
    if not (is_file(path) or path.is_dir()):
        raise UserError(f"{path}: no such image or folder; set data.images to one")
    suffixes = ", ".join(READ)
    if path.is_dir():
        found = find_files(path, "") if every is None else every
        files = {file: file.relative_to(path) for file in found if file.suffix.lower() in READ}
        if not files:
            raise UserError(f"{path}: no image in this folder; {suffixes} are read")
        return files
    if path.suffix.lower() == LIST_SUFFIX:
        return _listed(path)
    if path.suffix.lower() in READ:
        return {path: Path(path.name)}
    raise UserError(f"{path}: not an image by its suffix; {suffixes} and lists (.txt) are read")


def _listed(path: Path) -> dict[Path, Path]:
    """Return the files that a list names, and the paths that their names follow from."""
    files, wrong = {}, []
    for line in read_list(path):
        file = path.parent / line
        if not is_file(file):
            wrong.append(f"{path} names {line!r}, which is no file; correct the list")
        elif file.suffix.lower() not in READ:
            wrong.append(f"{path} names {line!r}, not an image by its suffix; leave it out")
        elif file in files:
            wrong.append(f"{path} names {line!r} twice; keep one of them")
        named = Path(line)
        inside = not named.is_absolute() and ".." not in named.parts
        files[file] = named if inside else Path(named.name)
    if wrong:
        raise Findings(wrong)
    return files


def _is_video(file: Path) -> bool:
    return file.suffix.lower() in VIDEO_SUFFIXES


def _frames(file: Path, name: str) -> list[Sample]:
    return [Frame(f"{name}/{frame:06}", file, None, frame) for frame in range(count_frames(file))]


def _names(paths: list[Path]) -> list[str]:
    stems = Counter(path.with_suffix("") for path in paths)
    names = [
        path.with_suffix("").as_posix()
        + (path.suffix.replace(".", "_") if stems[path.with_suffix("")] > 1 else "")
        for path in paths
    ]
    for name, count in Counter(names).items():
        if count > 1:
            files = [str(path) for path, its in zip(paths, names, strict=True) if its == name]
            raise UserError(f"{', '.join(files)} would all be written as {name!r}; rename them")
    return names
