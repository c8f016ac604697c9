"""Files of torch: checked to be whole, then read as tensors and plain data without running code."""

from __future__ import annotations

import os
import stat
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint

from pspnet.errors import UserError, visible
from pspnet.models.published.stand_ins import stand_ins, without_stand_ins

# what torch's readers raise for damaged files, found by changing single bytes of good ones
DAMAGED = (
    *(UnpicklingError, RuntimeError, ValueError, TypeError, EOFError, LookupError),
    *(AttributeError, AssertionError, OSError, struct.error, MemoryError, OverflowError),
)
# the same of Python's reader of archives
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, ValueError, OSError, EOFError)
ZIP = b"PK\x03\x04"
DEEPEST, MOST = 60, 1_000_000  # nesting and number of entries


def regular_file(path: str | Path, *, expected: str) -> Path:
    """Return the path of a file on disk that can be read and is not empty.

    Args:
        path: the path; an address is not fetched.
        expected: what to give instead, for the error message.

    Raises:
        UserError: for anything but such a file.
    """
    text = str(path)
    if "://" in text or text.startswith(("http:", "https:")):
        raise UserError(f"{text}: an address, not a file; download it, then give the file")
    if "::" in text or visible(text) != text:  # fsspec reads one as an address, terminals obey
        raise UserError(f"{text}: a path with :: or hidden characters; rename the file")
    try:
        found = Path(path).stat()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        reason = "no such file" if missing else str(error.strerror)
        raise UserError(f"{text}: {reason}; give {expected}") from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
        raise UserError(f"{text}: {kind}; give {expected}")
    if found.st_size == 0:
        raise UserError(f"{text}: an empty file; give {expected}")
    if not os.access(path, os.R_OK):
        raise UserError(f"{text}: may not be read; change its permissions")
    return Path(path)


def load(path: Path) -> Any:
    """Read tensors and plain data; the archive's checksums are compared first.

    The curves in mmengine's training checkpoints are left out, see `stand_ins`.

    Args:
        path: a regular file, as `torch.save` writes it today or did before torch 1.6.

    Raises:
        UserError: if the file is damaged, or holds more than tensors and plain data.
    """
    check_archive(path)
    with stand_ins(), warnings.catch_warnings():  # of old pickles and rare tensors
        warnings.simplefilter("ignore", UserWarning)
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except DAMAGED as error:
            reason = f"{first_line(error)}; fetch it again"
            if isinstance(error, UnpicklingError | LookupError):  # a text, to the reader of pickles
                reason = "no torch file, a damaged one, or one that could run code"
                if names := _unsafe_names(path):
                    reason = f"it names {names}, which could run code; give tensors and plain data"
            raise UserError(f"{path}: not a readable weights file: {reason}") from error
    check_plain(content, path=path)
    return without_stand_ins(content)


def check_archive(path: Path) -> None:
    """Refuse an archive of torch that is cut, changed or packed; older files have no checksums.

    Raises:
        UserError: naming the file and the first entry that differs from its checksum.
    """
    with path.open("rb") as file:
        if file.read(len(ZIP)) != ZIP:
            return
    try:
        with zipfile.ZipFile(path) as archive:
            # torch packs nothing, so entries that need more room than the file are a trap
            packed = sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size
            damaged = None if packed else archive.testzip()
    except (*BROKEN_ZIP, RuntimeError, NotImplementedError) as error:
        raise UserError(
            f"{path}: not a readable weights file: damaged or cut ({first_line(error)}); "
            "fetch it again"
        ) from error
    if packed:
        raise UserError(f"{path}: not a readable weights file: an archive larger than its file")
    if damaged is not None:
        raise UserError(
            f"{path}: not a readable weights file: damaged: {damaged} differs from its checksum; "
            "fetch it again"
        )


def check_plain(content: Any, *, path: Path) -> None:
    """Refuse data that is nested without end, or too large by repeated references.

    Raises:
        UserError: naming the file.
    """
    level, count = [content], 0
    for _ in range(DEEPEST):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += [*value.keys(), *value.values()]
            elif isinstance(value, list | tuple | set | frozenset):
                below += value
            count += 1
            if len(below) + count > MOST:
                raise UserError(f"{path}: holds more than {MOST} entries; a damaged file")
        if not below:
            return
        level = below
    raise UserError(f"{path}: is nested {DEEPEST} times and more; a damaged file")


def _unsafe_names(path: Path) -> str:
    """Names of the functions and classes that torch refuses to load; "" for a damaged file."""
    if not zipfile.is_zipfile(path):
        return ""
    try:
        return ", ".join(sorted(get_unsafe_globals_in_checkpoint(path)))
    except DAMAGED:
        return ""


def first_line(error: Exception) -> str:
    """Return the first sentence of an error, or its kind where it has no words."""
    return str(error).strip().partition("\n")[0].partition(". ")[0] or type(error).__name__
