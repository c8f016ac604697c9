"""A folder of predictions: whole files, each of which says what it was predicted from."""

from __future__ import annotations

import hashlib
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

import cv2
import numpy as np

from pspnet.data.image_io import encode
from pspnet.errors import UserError
from pspnet.files.writing import make_folder, write_atomic

KEYWORD = b"pspnet\0"  # begins a comment in PNG and JPEG files
_HEADER = 33  # bytes of a PNG before its second chunk


class PredictionFolder:
    """Three files per prediction below a folder, never over a file unless asked to.

    `index/NAME.png` holds the label values; a palette in it lets viewers show colors. Pillow reads
    the values back (`np.array(Image.open(path))`), OpenCV would expand them to colors.
    `color/NAME.png` holds the colors, `overlay/NAME.jpg` the colors over the image. Each file holds
    the `origin` of its prediction as a comment, so that a prediction that was stopped continues.

    Args:
        out_dir: the folder; it is created with the first file.
        palette: RGB per label value, (256, 3) uint8.
        overwrite: replace files that exist.
        alpha: weight of the colors in the overlay, 0 (image only) to 1 (colors only).

    Raises:
        UserError: if alpha is out of range, or `out_dir` is a file.
    """

    def __init__(
        self, out_dir: Path, *, palette: np.ndarray, overwrite: bool = False, alpha: float = 0.5
    ) -> None:
        if not 0 <= alpha <= 1:
            raise UserError(f"alpha={alpha}: give a weight from 0 to 1")
        if out_dir.exists() and not out_dir.is_dir():
            raise UserError(f"{out_dir} is a file; name a folder for the predictions")
        self.out_dir, self.palette = out_dir, palette
        self.overwrite, self.alpha = overwrite, alpha

    def check(self, names: Iterable[str], origin: Callable[[str], str | None]) -> list[str]:
        """Return the names whose predictions are there, of the same origin; none to overwrite.

        Names that cannot all be written are refused before anything is computed.

        Args:
            names: the names.
            origin: returns the origin of a name, see `write`.

        Raises:
            UserError: for a name that would leave the folder or occurs twice, and for the first
                file that exists and is of another origin, unless `overwrite` is set.
        """
        seen: set[str] = set()
        there = []
        for name in names:
            if name in seen:
                raise UserError(f"name {name!r} occurs twice; each prediction needs its own")
            seen.add(name)
            files = self.files(name)
            existing = [file for file in files if os.path.lexists(file)]
            if existing and not self.overwrite:
                self._refuse_existing(files, origin(name))
                there += [name] if len(existing) == len(files) else []
        return there

    def write(
        self, name: str, label: np.ndarray, image: np.ndarray, *, origin: str | None = None
    ) -> None:
        """Write the three files of one prediction, the index file last.

        Args:
            name: relative path without suffix; its folders are kept.
            label: (H, W) uint8.
            image: (H, W, 3) uint8 RGB.
            origin: a digest of all that the prediction follows from; None if it is not known.

        Raises:
            UserError: if the name would leave the folder, or one of the files exists and is of
                another origin, unless `overwrite` is set.
        """
        index, color, overlay = self.files(name)
        self._refuse_existing((index, color, overlay), origin)
        colors = self.palette[label]  # (H, W, 3)
        _save(encode(blend(image, colors, alpha=self.alpha), "JPEG"), overlay, origin)
        _save(encode(colors), color, origin)
        _save(encode(label, palette=self.palette), index, origin)

    def files(self, name: str) -> tuple[Path, Path, Path]:
        """Return the index, color and overlay file of a name.

        Raises:
            UserError: if the name is empty, absolute, or holds `..`, `.` or empty parts.
        """
        posix, windows = PurePosixPath(name), PureWindowsPath(name)
        unsafe = posix.is_absolute() or windows.anchor or ".." in (*posix.parts, *windows.parts)
        if unsafe or not posix.parts or str(posix) != name:
            raise UserError(
                f"name {name!r} is no plain relative path; predictions stay below {self.out_dir}"
            )
        return (
            self.out_dir / "index" / f"{name}.png",
            self.out_dir / "color" / f"{name}.png",
            self.out_dir / "overlay" / f"{name}.jpg",
        )

    def _refuse_existing(self, files: tuple[Path, ...], origin: str | None) -> None:
        for file in files:
            same = origin is not None and origin_of(file) == origin
            if not (self.overwrite or same) and os.path.lexists(file):
                other = "" if origin is None else " and is of another checkpoint, image or options"
                raise UserError(f"{file} exists{other}; use another folder or overwrite=true")


def origin_of(file: Path) -> str | None:
    """Return the origin that a PNG or JPEG file names, None if it names none or is missing."""
    try:
        with file.open("rb") as opened:
            found = re.search(KEYWORD + rb"([0-9a-f]{64})", opened.read(160))
    except OSError:
        return None
    return None if found is None else found[1].decode()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while block := opened.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def blend(image: np.ndarray, colors: np.ndarray, *, alpha: float) -> np.ndarray:
    """Return alpha * colors + (1 - alpha) * image, rounded; all (H, W, 3) uint8."""
    mixed: np.ndarray = cv2.addWeighted(colors, alpha, image, 1 - alpha, 0)
    return mixed


def _save(content: bytes, file: Path, origin: str | None) -> None:
    make_folder(file.parent)
    write_atomic(file, content if origin is None else _with_comment(content, origin), durable=False)


def _with_comment(content: bytes, origin: str) -> bytes:
    """Return a PNG or JPEG file with an origin as its first comment."""
    text = KEYWORD + origin.encode()
    if content.startswith(b"\xff\xd8\xff\xe0"):  # a JPEG, whose first segment is JFIF's
        end = 4 + struct.unpack(">H", content[4:6])[0]
        comment = b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text
        return content[:end] + comment + content[end:]
    chunk = b"tEXt" + text
    sized = struct.pack(">I", len(text)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return content[:_HEADER] + sized + content[_HEADER:]
