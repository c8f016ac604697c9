"""A disk that is full from the moment at which a file is opened to be written.

The system itself refuses each write, by the limit that `ulimit -f` sets: it needs no rights and no
disk of its own. Text on pipes still passes.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pspnet.files.writing import DRAFT

_watched: list[str] = []  # the name whose opening fills the disk


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if not _watched or event not in ("open", "os.mkdir") or not isinstance(arguments[0], str):
        return
    writes = event == "os.mkdir" or int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR)
    if writes and _is(Path(arguments[0]).name, Path(_watched[0])):
        limit_files(0)


def _is(name: str, wanted: Path) -> bool:
    """Return True for the name, or that of its draft."""
    draft = name.startswith(f"{DRAFT}{wanted.stem[:40]}.") and name.endswith(wanted.suffix)
    return name == wanted.name or draft


def limit_files(size: int | None) -> None:
    """Let no file of this process grow over a size in bytes; None lifts the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


sys.addaudithook(_watch)  # it cannot be removed again


@contextmanager
def full_from(name: str) -> Iterator[None]:
    """Fill the disk when a file or folder of that name is opened or made."""
    _watched.append(name)
    try:
        yield
    finally:
        _watched.clear()
        limit_files(None)
