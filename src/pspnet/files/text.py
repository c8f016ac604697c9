"""Text for people: names that they gave, checked before they are shown; durations; commands."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from pspnet.errors import UserError, visible

LONGEST_NAME = 200  # bytes; file systems take 255, and runs append suffixes


def check_text(value: str, *, what: str) -> str:
    """Return a text of one line that any terminal and file can show.

    Raises:
        UserError: if it is empty or holds characters that are not for display.
    """
    if not value.strip() or visible(value) != value:
        raise UserError(f"{what}: {value!r} is given; give a text of visible characters")
    return value


def path_part(value: str, *, option: str) -> str:
    """Return a name that can be the name of one folder.

    Raises:
        UserError: if it is empty, names another folder than one below, or is too long.
    """
    simple = not set(value) & set("/\\:") and value not in (".", "..") and value == value.strip()
    if not simple or len(value.encode("utf-8", "replace")) > LONGEST_NAME:
        raise UserError(
            f"{option}={value[:40]!r}: give the name of one folder, without / and at most "
            f"{LONGEST_NAME} bytes long"
        )
    return check_text(value, what=option)


def counted(number: int, noun: str) -> str:
    """Return "1 image" or "2 images"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def duration(seconds: float) -> str:
    """Return seconds in words, to the minute from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def shell_command(python: str, *words: str) -> str:
    """Return a command to paste into a shell, whose Python is relative to the working folder."""
    here = Path(python).is_absolute() and Path(python).is_relative_to(Path.cwd())
    return " ".join(_quoted(word) for word in [os.path.relpath(python) if here else python, *words])


def pspnet_command(*words: str) -> str:
    """Return a command of this package to paste into a shell that has no active environment."""
    return shell_command(sys.executable, "-m", "pspnet", *words)


def short_path(path: str) -> str:
    """Return a path relative to the working folder, if it lies there."""
    return os.path.relpath(path) if Path(path).absolute().is_relative_to(Path.cwd()) else path


def _quoted(word: str) -> str:
    """Quote a word for a shell, in double quotes where those are easier to read."""
    plain = "'" in word and not set(word) & set('"$`\\!\n')
    return f'"{word}"' if plain else shlex.quote(word)
