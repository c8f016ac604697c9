"""Errors that a user can mend, their one line on the terminal, and files that are whole or absent.

This file imports neither torch nor Lightning, so that wrong options are refused at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

LONGEST_LINE = 1000  # characters


class UserError(ValueError):
    """An error that the user can mend; its one line names the value and the remedy.

    Every other exception is a bug, of this package or of the user's own code, and keeps its
    traceback.
    """

    def __str__(self) -> str:
        return "\n".join(map(visible, super().__str__().split("\n")))


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line and no abbreviated options."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {shortened(' '.join(message.split()))}\n")

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        for word in args or ():
            if word.startswith("--") and word.endswith("=--"):  # argparse would drop the value
                self.error(f"{word}: give a value")
        return super().parse_known_args(args, namespace)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print a UserError in one line on stderr; let every other exception pass.

    Raises:
        SystemExit: with code 1, in place of a UserError.
    """
    try:
        yield
    except Exception as error:
        line = user_message(error)
        if line is None:
            raise
        sys.stderr.write(f"error: {shortened(line)}\n")
        raise SystemExit(1) from error


def user_message(error: BaseException) -> str | None:
    """Return the line of the UserError that `error` is or wraps; None if there is none.

    A loading process sends its UserError's whole traceback as the message, which ends with it.
    """
    if isinstance(error, UserError):
        name = f"{UserError.__module__}.{UserError.__qualname__}: "
        return visible(" ".join(str(error).rpartition(name)[2].split()))
    # jsonargparse wraps the errors of linked functions; anybody else's wrapping is a bug's
    wrapped = raised_in(error).startswith("jsonargparse") and error.__cause__ is not None
    return user_message(error.__cause__) if wrapped and error.__cause__ else None


def visible(text: str) -> str:
    """Return a text with each character that is not for display as an escape, as \\x1b or \\u202e.

    Terminals obey control characters, some end a line, and others change the order of reading.
    """
    return "".join(ascii(one)[1:-1] if _is_control(one) else one for one in text)


def _is_control(character: str) -> bool:
    kind = unicodedata.category(character)
    joins = character in "\u200c\u200d"  # letters of Persian and of Indian scripts
    return kind in ("Cc", "Cs", "Zl", "Zp") or (kind == "Cf" and not joins)


def shortened(line: str) -> str:
    """Return a line for the terminal, without the middle of a value that fills a screen."""
    half = LONGEST_LINE // 2
    return visible(line if len(line) <= LONGEST_LINE else f"{line[:half]} … {line[-half:]}")


def raised_in(error: BaseException) -> str:
    """Return the name of the module whose code raised `error`."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return "" if traceback is None else str(traceback.tb_frame.f_globals.get("__name__", ""))


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
def atomic(path: Path) -> Iterator[Path]:
    """Yield a draft beside `path` that takes its name at the end, or is removed after an error."""
    # several machines may share the folder, so a process id would not be unique
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, over what is there."""
    with atomic(path) as draft:
        draft.write_bytes(content)
