"""Locks by which sweeps and agents that share a folder never train one run twice at a time."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import IO

PATIENCE = 30.0  # seconds that the processes of an earlier start have to end


def in_use(folder: Path) -> str:
    """Return why a run is not started that another process is at."""
    return f"{folder}/run.log is in use by a run that was started before; end that one"


def lock(log: IO[bytes], folder: Path) -> bool:
    """Lock a run's log, which every process of the run holds open, against a second start."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not is_training(folder):
                return True
        except BlockingIOError:
            pass
        time.sleep(0.1)
    return False


def is_training(folder: Path) -> bool:
    """Return True if a fit, as one of W&B's agents, holds its lock on the folder."""
    if not (folder / ".lock").exists():
        return False
    with (folder / ".lock").open("ab") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
