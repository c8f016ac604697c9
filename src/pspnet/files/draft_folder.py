"""Folders that appear with all their files or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from tempfile import mkdtemp

from pspnet.errors import NotWritten
from pspnet.files.writing import make_folder, writing

try:
    import fcntl
except ImportError:  # Windows has none: drafts of killed processes stay there
    fcntl = None  # type: ignore[assignment]


@contextmanager
def draft_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`, to be renamed or emptied; what is left is removed.

    Drafts that killed processes have left are removed first. A writer locks its draft before the
    first file, and the system unlocks it when the writer ends in whatever way.

    Raises:
        NotWritten: if the folder cannot be made; the body's, with the path in `folder`.
    """
    make_folder(folder.parent)
    prefix = f".{folder.name}.draft-"
    for other in folder.parent.glob(f"{escape(prefix)}*"):
        _remove_abandoned(other)
    with writing(folder):
        draft = Path(mkdtemp(prefix=prefix, dir=folder.parent))
        descriptor = os.open(draft, os.O_RDONLY)
    try:
        _lock(descriptor)
        draft.chmod(0o755)  # mkdtemp makes it readable for its owner only
        yield draft
    except NotWritten as error:  # the draft is gone when this is read
        raise NotWritten(str(error).replace(str(draft), str(folder))) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        os.close(descriptor)


def _remove_abandoned(draft: Path) -> None:
    with suppress(OSError):  # it is gone, or another user's
        descriptor = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if any(draft.iterdir()) and _lock(descriptor):
                shutil.rmtree(draft)
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock an open folder; return False if another process has it, or folders have no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
