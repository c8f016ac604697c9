"""Outcomes of a command in this process: refused in one line, accepted, a traceback, a hang."""

from __future__ import annotations

import io
import shutil
import signal
import traceback
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["refused", "accepted", "traceback", "hang", "unclear", "stray"]
SECONDS = 20.0  # a case takes a quarter of one, and imports what it needs
CONTROLS = ("Cc", "Cs", "Zl", "Zp")  # what a terminal obeys, and what ends a line
LONGEST = 1500  # characters of a line, of which a value of the user's may take most


class Hang(BaseException):
    """The time of a case is up; nothing in the package catches it."""


class Started(BaseException):
    """A command began to compute, or to start the processes that would."""


@dataclass(frozen=True)
class Outcome:
    """The end of a command.

    Args:
        kind: "unclear" for an exit without exactly one line, "stray" for files left beside the
            run's folder.
        said: the line, or where the traceback ends.
    """

    kind: Kind
    said: str = ""


def outcome(command: Callable[[], object], *, value: str = "", seconds: float = SECONDS) -> Outcome:
    """Run a command in the working folder and return how it ends.

    Args:
        command: to run.
        value: a path that it may write to if it accepts it.
        seconds: after which it hangs.
    """
    before, errors = set(Path().iterdir()), io.StringIO()
    try:
        with _silence(errors), _alarm(seconds):
            command()
    except SystemExit as end:
        ended = _exit(end, errors.getvalue())
    except Started:
        ended = Outcome("accepted")
    except Hang as hang:
        ended = Outcome("hang", _place(hang))
    except BaseException as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        ended = Outcome("traceback", f"{reason[:160]} {_place(error)}")
    else:
        ended = Outcome("accepted")
    new = set(Path().iterdir()) - before
    may = {Path(part) for part in Path(value).parts[:1]} if ended.kind == "accepted" else set()
    may = new if value and Path(value) == Path() else may  # the working folder itself
    for path in new:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if new - may and ended.kind in ("refused", "accepted"):
        return Outcome("stray", f"left {str(min(new - may))[:60]!r}")
    return ended


def _exit(end: SystemExit, errors: str) -> Outcome:
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    if end.code in (0, None):
        return Outcome("accepted")
    printable = all(unicodedata.category(one) not in CONTROLS for one in "".join(lines))
    if len(lines) != 1 or not printable or len(lines[0]) > LONGEST or "Traceback" in errors:
        return Outcome("unclear", f"{end.code}: {errors[-200:]!r}")
    return Outcome("refused", lines[0])


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if "/src/pspnet/" in frame.filename] or frames
    ends = [f"{Path(f.filename).name}:{f.lineno}" for f in (inside[-1], frames[-1])]
    return " > ".join(dict.fromkeys(ends))


@contextmanager
def _silence(errors: io.StringIO) -> Iterator[None]:
    with redirect_stdout(io.StringIO()), redirect_stderr(errors), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
