"""Checkpoints on disk: whole or absent, and verified by the checksums that torch writes."""

from __future__ import annotations

import io
import os
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from pspnet.errors import UserError

BLOCK = 2**24  # bytes
DRAFT = ".draft."  # begins the name of a file that is being written


def verify(path: str | Path) -> None:
    """Check the CRC-32 of every record of a torch file, which torch writes and does not read.

    A second reads about a gigabyte. Records are stored as they are; a compressed one is not torch's
    and could be of any size.

    Raises:
        UserError: if the file is no zip archive of torch, is cut off, or has changed since it was
            written.
        OSError: if it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for record in archive.infolist():
                if record.compress_type != zipfile.ZIP_STORED:
                    raise zipfile.BadZipFile(f"{record.filename} is compressed")
                with archive.open(record) as file:
                    while file.read(BLOCK):
                        pass
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UserError(
            f"ckpt_path={path}: damaged or no checkpoint ({error}); give another .ckpt of the run"
        ) from error


class VerifiedCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its name, verify it, and only then let it take its name.

    Whatever ends the process or fills the disk, the file of that name is the earlier one or the new
    one, whole.
    """

    def __init__(self) -> None:
        self._folders: set[Path] = set()

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            UserError: if it cannot be written; the earlier file of that name is left as it was.
        """
        if "://" in str(path):  # no local file
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path, content = Path(path), io.BytesIO()
        torch.save(checkpoint, content)  # to a file, a full disk would end in an error of C++
        try:
            if path.parent not in self._folders:  # a folder that vanished later is not made again
                path.parent.mkdir(parents=True, exist_ok=True)
                self._folders.add(path.parent)
            with _durable(path) as draft:
                draft.write_bytes(content.getbuffer())
                verify(draft)
        except OSError as error:
            raise UserError(
                f"{path}: cannot be written ({error.strerror}); earlier checkpoints are as they "
                "were. Make room or give another folder by --logs, and resume"
            ) from error

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        """Read a checkpoint that has not changed since it was written."""
        if "://" not in str(path):
            verify(path)
        return super().load_checkpoint(path, *args, **options)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint, if it is there."""
        Path(path).unlink(missing_ok=True)


@contextmanager
def _durable(path: Path) -> Iterator[Path]:
    """Yield a draft beside `path` that takes its name once it is on the disk."""
    draft = path.with_name(f"{DRAFT}{path.name}.{uuid.uuid4().hex}")
    try:
        yield draft
        _sync(draft)
        draft.replace(path)
        _sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(folder: Path) -> None:
    """Remove what writers that were killed have left."""
    for draft in folder.glob(f"{DRAFT}*"):
        draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
