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

from pspnet.data.channels import RGB, Channels
from pspnet.data.datasets.base import Sample
from pspnet.data.files import require
from pspnet.data.image_io import read_image
from pspnet.errors import NotWritten, UserError
from pspnet.files.writing import make_folder, write_atomic

MARK = hashlib.sha256().digest_size  # bytes at the end of a copy
VERSION = 2  # counts up whenever a file would be decoded to other pixels
DAY = 24 * 60 * 60


class Cache:
    """A folder that keeps a decoded copy of each image and label that is read.

    A copy is a `.npy` file that is mapped into memory, read-only. Behind its array stands
    a mark of its source: the path of the file, its size, its inode, the times of its last change
    and, for a label, the sample's name and the meaning of label files. A file without that mark at
    its very end (cut off, outdated or foreign) is replaced. Workers, processes and machines may
    share a folder; where two write one copy at the same time, either is complete.

    Args:
        folder: the folder, created if absent. An image takes a byte per pixel and channel,
            or two where they have a range; a label takes one.
        label_key: the meaning of label files, see `LabelCode.key`.
        channels: of the images.

    Raises:
        UserError: if the folder cannot be created.
    """

    def __init__(self, folder: Path, *, label_key: str = "", channels: Channels = RGB) -> None:
        self.folder, self.label_key, self.channels = folder, label_key, channels
        try:
            make_folder(folder)
        except NotWritten as error:
            raise self._refusal(error) from None
        _remove_drafts(folder)

    def image(self, path: Path) -> np.ndarray:
        """Return the result of `read_image`; raise its errors."""
        kind = "image" if self.channels.is_rgb else f"image {self.channels}"
        return self._copy(path, kind=kind, decode=lambda: read_image(path, self.channels))

    def label(self, sample: Sample, read: Callable[[Sample], np.ndarray]) -> np.ndarray:
        """Return the result of `read`, the data set's `read_label`; raise its errors."""
        assert sample.label is not None
        kind = f"{self.label_key}\n{sample.name}"
        return self._copy(sample.label, kind=kind, decode=lambda: read(sample))

    def _copy(self, path: Path, *, kind: str, decode: Callable[[], np.ndarray]) -> np.ndarray:
        # before the file is read: if it changes meanwhile, the copy is outdated
        status = require(path, "an image or label to read").stat()
        source = f"{VERSION}\n{path.absolute()}\n{kind}"
        mark = _digest(f"{source}\n{file_state(status)}")
        # a long name is cut, as file systems take 255 bytes
        place = self.folder / f"{path.stem[:40]}.{_digest(source).hex()[:24]}.npy"
        copy = _mapped(place, mark)
        if copy is None:
            copy = decode()
            if _mapped(place, mark) is None:  # otherwise another process was faster
                self._write(place, copy, mark)
        return copy

    def _write(self, place: Path, pixels: np.ndarray, mark: bytes) -> None:
        content = io.BytesIO()
        np.save(content, pixels)
        content.write(mark)
        try:
            write_atomic(place, content.getvalue(), durable=False)
        except NotWritten as error:
            raise self._refusal(error) from None

    def _refusal(self, error: NotWritten) -> UserError:
        reason = getattr(error.__cause__, "strerror", None)
        return UserError(
            f"data.cache={self.folder} cannot be written ({reason}); make room there, name another"
            " folder, or set data.cache=null"
        )


def file_state(status: os.stat_result) -> str:
    """Return a text that differs after each change of a file."""
    # archives and exports give new files of one size the time of old ones, but not their inode
    # and time of status change; on Windows `st_ctime_ns` is the time of creation
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino} {status.st_ctime_ns}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _mapped(place: Path, mark: bytes) -> np.ndarray | None:
    """Map the array of a copy that bears the mark; return None if there is none."""
    try:
        with place.open("rb") as file:
            file.seek(-MARK, os.SEEK_END)
            if file.read() != mark:
                return None
            file.seek(0)
            np.lib.format.read_magic(file)
            shape, _, kind = np.lib.format.read_array_header_1_0(file)
            return np.memmap(file, kind, "r", offset=file.tell(), shape=shape)
    except OSError:  # no such file, or one shorter than a mark
        return None


def _remove_drafts(folder: Path) -> None:
    """Remove drafts that `write_atomic` left when its process was killed at least a day ago."""
    for draft in folder.glob(".*.npy*"):
        with suppress(OSError):  # another process removes it too, or another user owns it
            if draft.stat().st_mtime < time.time() - DAY:
                draft.unlink()
