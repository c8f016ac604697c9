"""Files that are whole or absent, whatever ends the process or fills the disk."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pspnet.errors import NotWritten, UserError, not_written, warn

DRAFT = ".draft."  # begins the name of a file that is being written


def check_new(path: Path) -> None:
    """Refuse a file to write that exists, or has no folder.

    Raises:
        UserError: if there is something at `path`, or no folder for it.
    """
    if os.path.lexists(path):
        raise UserError(f"{path} exists; name another file")
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder; make it, or name another file")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write `path` into one line with a remedy.

    Raises:
        NotWritten: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise NotWritten(not_written(path, error)) from error


@contextmanager
def optional(output: str) -> Iterator[None]:
    """Warn in one line about an output that cannot be written, so that the command continues.

    Pictures, costs and W&B are optional; scores, checkpoints and what a command is asked for are
    not.
    """
    try:
        yield
    except NotWritten as error:
        warn(f"{error}; continued without it")
    except OSError as error:
        warn(f"{output} cannot be written ({error.strerror or error}); continued without it")


def make_folder(folder: Path) -> Path:
    """Make a folder to write to, and those above it.

    Raises:
        NotWritten: if the system refuses.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def atomic(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a draft beside `path` that takes its name at the end, or is removed after an error.

    Args:
        path: the file, in a folder that exists.
        durable: wait until the disk has it, so that it is whole after a power cut too.

    Raises:
        NotWritten: in place of an OSError.
    """
    # several machines may share the folder, so a process id would not be unique; a long name is
    # cut, as file systems take 255 bytes
    draft = path.with_name(f"{DRAFT}{path.stem[:40]}.{uuid.uuid4().hex}{path.suffix[:20]}")
    try:
        with writing(path):
            yield draft
            if durable:
                _sync(draft)
            draft.replace(path)
        if durable:
            with suppress(OSError):  # file systems that cannot sync a folder
                _sync(path.parent)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file whole or not at all, over what is there; see `atomic`."""
    with atomic(path, durable=durable) as draft:
        draft.write_bytes(content)
