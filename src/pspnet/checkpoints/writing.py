"""Checkpoints on disk: whole or absent."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from pspnet.files.writing import DRAFT, atomic, make_folder
from pspnet.models.torch_file import check_archive


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
            NotWritten: if it cannot be written; the earlier file of that name is left as it was.
        """
        if "://" in str(path):  # no local file
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path, content = Path(path), io.BytesIO()
        torch.save(checkpoint, content)  # to a file, a full disk would end in an error of C++
        if path.parent not in self._folders:  # a folder that vanished later is not made again
            self._folders.add(make_folder(path.parent))
        with atomic(path) as draft:
            draft.write_bytes(content.getbuffer())
            check_archive(draft)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint, if it is there."""
        Path(path).unlink(missing_ok=True)


def remove_drafts(folder: Path) -> None:
    """Remove what writers that were killed have left."""
    for draft in folder.glob(f"{DRAFT}*"):
        draft.unlink(missing_ok=True)
