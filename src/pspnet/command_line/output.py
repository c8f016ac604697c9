"""Standard output that costs no work: closed, full, cut off, or without some characters."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CUT_OFF = 141  # the exit status of a Unix command whose reader has ended: 128 + SIGPIPE


class _Raw(io.FileIO):
    """A descriptor that swallows what the system refuses, and remembers the first refusal."""

    refused: OSError | None = None

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as error:
            self.refused = self.refused or error
            return len(content)


@contextmanager
def safe_output() -> Iterator[None]:
    """Print what can be printed, to the end of the work, and end with the status that tells.

    Characters that the terminal's encoding lacks become `?`. Streams that somebody has replaced,
    as a notebook does, are left alone.

    Raises:
        SystemExit: with code 141 where the reader of standard output has ended, as other commands
            do, and 1 with a line where the system refused it otherwise, as on a full disk.
    """
    _open_closed_descriptors()
    if sys.stdout is not sys.__stdout__ or sys.stderr is not sys.__stderr__:
        yield
        return
    before = sys.stdout, sys.stderr
    raw, sys.stdout = _stream(1, before[0])
    _, sys.stderr = _stream(2, before[1])
    try:
        yield
    except SystemExit as stop:
        if stop.code:
            raise
        _check(raw)
        raise
    else:
        _check(raw)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _check(raw: _Raw) -> None:
    """End with the status of output that was refused, if any was."""
    sys.stdout.flush()
    if raw.refused is not None and raw.refused.errno == errno.EPIPE:
        raise SystemExit(CUT_OFF)
    if raw.refused is not None:
        reason = raw.refused.strerror
        sys.stderr.write(f"error: standard output cannot be written ({reason}); all else is done\n")
        raise SystemExit(1)


def _stream(descriptor: int, before: Any) -> tuple[_Raw, io.TextIOWrapper]:
    raw = _Raw(descriptor, "w", closefd=False)
    # without a stream of before, the descriptor was closed
    encoding = before.encoding if before is not None else "utf-8"
    lines = before is None or before.line_buffering
    return raw, io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="replace", line_buffering=lines
    )


def _open_closed_descriptors() -> None:
    """Lead closed standard streams nowhere: the next file would take their descriptors."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor < 3:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
