"""What entry points with argparse share: errors of one line, and nothing written over."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


@contextmanager
def refusals() -> Iterator[None]:
    """Says in one line on stderr what the package refuses within.

    Raises:
        SystemExit: with code 1, for a ValueError or OSError.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        raise SystemExit(1) from error


def check_new(path: Path) -> None:
    """Refuses a file to write that is there, or has no folder.

    Raises:
        FileExistsError: if there is something at `path`.
        FileNotFoundError: if there is no folder for it.
    """
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists; name another file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder; make it, or name another file")
