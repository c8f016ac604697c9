"""Errors that a user can mend, and their one line on the terminal.

This file imports neither torch nor Lightning, so that wrong options are refused at once.
"""

from __future__ import annotations

import argparse
import errno
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from pspnet.files.spelling import with_proposals

LONGEST_LINE = 1000  # characters
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk, quota, `ulimit -f`
MEMORY = "set data.workers=0, or give more shared memory (docker run --shm-size=8g)"


class UserError(ValueError):
    """An error that the user can mend; its one line names the value and the remedy.

    Every other exception is a bug, of this package or of the user's own code, and keeps its
    traceback.
    """

    def __str__(self) -> str:
        return "\n".join(map(visible, super().__str__().split("\n")))


class Findings(UserError):
    """Errors of several files; the message is the first of them, and says how many there are.

    Args:
        lines: one line per file, at least one.
        hint: how to list all that is wrong; may be "".
    """

    def __init__(self, lines: Sequence[str], hint: str = "") -> None:
        self.lines, self.hint = tuple(lines), hint
        more = f"; {len(lines) - 1} more of this kind" if len(lines) > 1 else ""
        super().__init__("; ".join(filter(None, (f"{lines[0]}{more}", hint))))

    def __reduce__(self) -> tuple[type[Findings], tuple[tuple[str, ...], str]]:
        return type(self), (self.lines, self.hint)


class NotWritten(UserError):
    """A file that the system did not let us write: no room, no folder, read-only or forbidden."""


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line and no abbreviated options."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        options = [word[2:] for word in self._option_string_actions if word.startswith("--")]
        line = with_proposals(" ".join(message.split()), options)
        self.exit(2, f"error: {shortened(line)}\n")

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

    A loading process sends its UserError's whole traceback as the message, which ends with it. A
    full disk and a loading process that was killed are nobody's bug, whoever meets them.
    """
    if (line := _loading_line(error)) is not None:
        return line
    if isinstance(error, UserError):
        name = f"{type(error).__module__}.{type(error).__qualname__}: "
        return visible(" ".join(str(error).rpartition(name)[2].split()))
    if isinstance(error, OSError) and error.errno in FULL:
        return not_written(error.filename or "a file", error)
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


def _loading_line(error: BaseException | None) -> str | None:
    """Return the line about a loading process that ended or has no shared memory, or None.

    torch raises it wherever the code is when the process ends, so that it may be caught there.
    """
    while error is not None and type(error) is not RuntimeError:
        error = error.__context__
    if error is None:
        return None
    said, module = str(error), raised_in(error)
    lost = module.startswith("torch.utils.data") and "DataLoader worker (pid" in said
    if lost and "by signal: Killed" in said:
        return (
            "a loading process was killed, as when memory runs out; lower data.workers or"
            " data.batch_size"
        )
    if lost and "exited unexpectedly" in said:  # torch noticed its end before its signal
        reason = "a loading process ended, as when memory runs out"
        return (
            _loading_line(error.__context__) or f"{reason}; lower data.workers or data.batch_size"
        )
    sent = module == "torch._utils" and "in DataLoader worker process" in said
    if (lost and "Bus error" in said) or (sent and "_new_shared" in said):
        return f"the loading processes are out of shared memory; {MEMORY}"
    return _loading_line(error.__context__)


def raised_in(error: BaseException) -> str:
    """Return the name of the module whose code raised `error`."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return "" if traceback is None else str(traceback.tb_frame.f_globals.get("__name__", ""))


def warn(line: str) -> None:
    """Print a warning in one line on stderr."""
    sys.stderr.write(f"warning: {shortened(' '.join(line.split()))}\n")


def note(line: str) -> None:
    """Print in one line on stderr what a user may want to know."""
    sys.stderr.write(f"note: {shortened(' '.join(line.split()))}\n")


def not_written(path: Path | str, error: OSError) -> str:
    """Return the line about a file that the system refuses to write."""
    full = error.errno in (*FULL, None)  # GDAL gives no number
    remedy = "make room, or name another folder" if full else "name a folder that can be written"
    return f"{path} cannot be written ({error.strerror or error}); {remedy}"
