"""Files of a data set: folders searched, lists read, and samples checked before they are used."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pspnet.data.datasets.base import Sample
from pspnet.errors import Findings, UserError, note, visible
from pspnet.files.paths import is_file

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def find_files(
    folder: Path, endings: str | tuple[str, ...], *, depth: int | None = None
) -> list[Path]:
    """List the files below a folder whose names have one of the endings, in any case, sorted.

    Linked folders are followed; a folder that is linked into itself is not entered again. Hidden
    files and folders are left out, as macOS writes a hidden `._a.jpg` beside each `a.jpg`, and
    Jupyter copies in `.ipynb_checkpoints`.

    Args:
        folder: the folder to search with its subfolders.
        endings: endings of file names in lower case, such as ".png".
        depth: the number of folders to go down, 0 for the files of `folder` alone, and the only
            depth at which files are taken; None takes files at every depth.

    Raises:
        UserError: if a folder cannot be listed.
    """
    return sorted(
        path
        for path in _walk(folder, depth=depth, ancestors=frozenset())
        if path.name.lower().endswith(endings)
    )


def _walk(folder: Path, *, depth: int | None, ancestors: frozenset[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in ancestors:  # a link back up: its files have been seen
        return
    try:
        entries = list(os.scandir(folder))
    except OSError as error:  # a folder of another user
        raise UserError(
            f"{folder} cannot be listed ({error.strerror}); correct its rights"
        ) from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            if depth != 0:
                below = None if depth is None else depth - 1
                yield from _walk(Path(entry.path), depth=below, ancestors=ancestors | {real})
        elif not depth:  # a dead link too, which is refused later and not left out
            yield Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def note_unread(where: str, paths: list[Path], suffixes: tuple[str, ...]) -> None:
    """Count in one line the files that have none of the suffixes, and so are not read."""
    from lightning.pytorch.utilities import rank_zero_only  # late, as it imports torch

    others = [path.suffix.lower() for path in paths if path.suffix.lower() not in suffixes]
    if others:
        counts = Counter(others).most_common()
        each = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in counts)
        files = "files were" if len(others) > 1 else "file was"
        rank_zero_only(note)(f"{where}: {len(others)} {files} not read: {each}")


def read_list(path: Path) -> list[str]:
    """Read the lines of a split's list, stripped, without empty ones.

    Raises:
        UserError: if there is no such list, or if it is no text or names nothing.
    """
    require_file(path, "the split's list of files")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is no UTF-8 text; write one name per line") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); correct its rights") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{path} names no file; write one name per line")
    return lines


def read_stems(path: Path) -> list[str]:
    """Read the stems of a list in VOC's format.

    A line is a stem, or the paths of an image and its label, as in the common lists of the
    augmented training set; of two paths the image's stem is taken.

    Raises:
        UserError: as in `read_list`.
    """
    firsts = [line.split()[0] for line in read_list(path)]
    return [Path(first).stem if "/" in first else first for first in firsts]


def require(path: Path, expected: str) -> Path:
    """Return the path if it exists.

    Raises:
        UserError: otherwise, with what was expected there.
    """
    if not os.path.exists(path):  # noqa: PTH110  (pathlib raises on names that are too long)
        raise UserError(f"{path} is missing: expected {expected}")
    return path


def require_file(path: Path, expected: str) -> Path:
    """Return the path if it is a file, and no folder, pipe or device.

    Raises:
        UserError: otherwise, with what was expected there.
    """
    if not is_file(require(path, expected)):
        raise UserError(f"{path} is no file: expected {expected}")
    return path


def require_root(root: Path) -> Path:
    """Return the root of a user's own data set if it is a folder.

    Raises:
        UserError: otherwise.
    """
    expected = "the folder of the data set"
    if not require(root, expected).is_dir():
        raise UserError(f"{root} is no folder: expected {expected}")
    return root


def refuse_strays(labels: list[Path], samples: list[Sample]) -> None:
    """Refuse labels that no sample has: their images are missing, and would not be scored.

    Raises:
        Findings: naming them.
    """
    stray = sorted({*labels} - {sample.label for sample in samples})
    if stray:
        raise Findings([f"{it} has no image; add the image, or remove the label" for it in stray])


def check_samples(samples: list[Sample], origin: Path) -> list[Sample]:
    """Return the samples of a split after checking their names and files.

    Args:
        samples: the samples found.
        origin: the list or folder that named them, for the error message.

    Raises:
        UserError: if there is no sample.
        Findings: if two have one name, names are no plain paths, or images or labels are missing.
    """
    if not samples:
        raise UserError(f"{origin} holds no image; check the root, or take another split")
    counts = Counter(sample.name for sample in samples)
    wrong = [
        f"{origin} names {name!r} {count} times; keep one of them"
        for name, count in counts.items()
        if count > 1
    ]
    for sample in samples:
        if visible(sample.name) != sample.name or ".." in sample.name.split("/"):
            wrong.append(f"{origin} names {sample.name!r}; give names of visible characters")
        for path, expected in (
            (sample.image, f"an image that {origin} names"),
            (sample.label, f"the label of {sample.image}"),
        ):
            try:
                if path is not None:
                    require_file(path, expected)
            except UserError as error:
                wrong.append(str(error))
    if wrong:
        raise Findings(wrong)
    return samples
