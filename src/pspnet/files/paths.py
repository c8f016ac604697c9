"""Paths that a user gives: to a file or folder of this machine, and not by accident."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from pspnet.errors import UserError, visible

LONGEST_PART, LONGEST = 200, 3800  # bytes; Linux takes 255 and 4095, and what is written adds some
REMOTE = re.compile(r"[A-Za-z][\w+.-]+:|.*::", re.DOTALL)  # as fsspec reads it


def local_path(value: str | Path, *, option: str) -> Path:
    """Return a path after refusing values that name nothing, or nothing on this machine.

    Args:
        value: the path; it need not exist.
        option: the name of the option, for the error message.

    Raises:
        UserError: for a value that is empty, too long, an address of another machine, begins with
            ~, or holds characters that are not for display.
    """
    text = str(value)
    if not text.strip():
        raise UserError(f"{option}={text!r}: give a path, or leave the option out")
    if visible(text) != text:
        raise UserError(f"{option}={text!r}: give a path of visible characters in UTF-8")
    if REMOTE.match(text):
        raise UserError(f"{option}={text}: give a path on this machine; ./{text} if it is one")
    if text.startswith("~"):
        raise UserError(f"{option}={text}: write the folder for ~ in full; ./{text} if it is one")
    longest = max(len(part.encode()) for part in (*Path(text).parts, ""))
    if longest > LONGEST_PART or len(text.encode()) > LONGEST:
        raise UserError(f"{option}={text[:40]}…: this path is too long; give a shorter one")
    return Path(text)


def path_argument(text: str) -> Path:
    """Return the path that an argument of a tool gives, as argparse takes it.

    Raises:
        argparse.ArgumentTypeError: as `local_path`.
    """
    try:
        return local_path(text, option="path")
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def is_file(path: str | Path) -> bool:
    """Return whether a path names a file with an end: no folder, pipe or device."""
    try:
        return os.path.isfile(path)  # noqa: PTH113  (pathlib raises on names that are too long)
    except ValueError:  # a character that no path holds
        return False


def run_name(folder: Path) -> str:
    """Return the name of a run's folder with that of the one above, as scenes_pspnet/version_0."""
    return "/".join(folder.resolve().parts[-2:])
