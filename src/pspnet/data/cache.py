"""Decoded images and labels on disk: each file is decoded once, and a crop reads its own rows."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from pspnet.data.image_io import read_image, read_label
from pspnet.errors import write_atomic

MARK = hashlib.sha256().digest_size  # bytes at the end of a copy
VERSION = 1  # of what files are decoded to
DAY = 24 * 60 * 60


class Cache:
    """A folder with a copy of each image and label that was asked for, as it is decoded.

    A copy is a `.npy` file of uint8 which is mapped into memory, to be read only. Behind its array
    it bears a mark of what it was made of: the path of the file, its size and the time of its last
    change, and, of a label, the table of train ids. A file without that mark at its very end, cut
    off, outdated or foreign, is replaced. Workers, processes and machines may share a folder; where
    two make one copy at a time, either is whole.

    Args:
        folder: made if there is none. An image takes 3 bytes a pixel, a label 1.

    Raises:
        OSError: if the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
        except OSError as error:
            raise self._refusal(error) from None

    def image(self, path: Path) -> np.ndarray:
        """What `read_image` gives, and raises."""
        return self._copy(path, of="image", decoded=lambda: read_image(path))

    def label(self, path: Path, train_ids: np.ndarray) -> np.ndarray:
        """What `read_label` gives, and raises."""
        return self._copy(
            path, of=train_ids.tobytes().hex(), decoded=lambda: read_label(path, train_ids)
        )

    def _copy(self, path: Path, *, of: str, decoded: Callable[[], np.ndarray]) -> np.ndarray:
        status = path.stat()  # before the file is read: if it changes meanwhile, the copy is old
        source = f"{VERSION}\n{path.absolute()}\n{of}"
        mark = _digest(f"{source}\n{status.st_size}\n{status.st_mtime_ns}")
        # of a long name the end may be cut, as file systems take 255 bytes
        place = self.folder / f"{path.stem[:40]}.{_digest(source).hex()[:24]}.npy"
        copy = _mapped(place, mark)
        if copy is None:
            copy = decoded()
            if _mapped(place, mark) is None:  # else another process was quicker
                self._write(place, copy, mark)
        return copy

    def _write(self, place: Path, pixels: np.ndarray, mark: bytes) -> None:
        content = io.BytesIO()
        np.save(content, pixels)
        content.write(mark)
        try:
            write_atomic(place, content.getvalue())
        except OSError as error:
            raise self._refusal(error) from None

    def _refusal(self, error: OSError) -> OSError:
        return OSError(
            f"data.cache={self.folder} cannot be written ({error.strerror}); make room there, name"
            " another folder, or set data.cache=null"
        )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _mapped(place: Path, mark: bytes) -> np.ndarray | None:
    """The array of a copy that bears a mark; None if there is none."""
    try:
        with place.open("rb") as file:
            file.seek(-MARK, os.SEEK_END)
            if file.read() != mark:
                return None
            file.seek(0)
            np.lib.format.read_magic(file)
            shape, _, _ = np.lib.format.read_array_header_1_0(file)
            return np.memmap(file, np.uint8, "r", offset=file.tell(), shape=shape)
    except OSError:  # no such file, or one of less than a mark
        return None


def _sweep(folder: Path) -> None:
    """Removes what `write_atomic` left when its process was killed, a day ago or longer."""
    for partial in folder.glob(".*.npy.*"):
        with suppress(OSError):  # another process sweeps as well, or it is another user's
            if partial.stat().st_mtime < time.time() - DAY:
                partial.unlink()
