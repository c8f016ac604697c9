"""One run of a sweep: started, gone on with, and tried again if it fails.

Of Python's own library alone: it goes to Ray's processes by value, which spares each reading torch.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from pspnet.tools.ablation.folder import last_checkpoint, put_aside, read_results, write_failure

ATTEMPTS = 2
LEASH = Path(__file__).with_name("leash.py")
PATIENCE = 30.0  # seconds for the processes of an earlier start to be gone
LENGTH = 300  # characters of a reason
ERROR = re.compile(r"error: |[\w.]+(Error|Exception)(: |$)")


@dataclass(frozen=True)
class Outcome:
    """How a run ended: mIoU of 0 to 1, None if no class had any; the reason if it failed."""

    state: Literal["finished", "failed"]
    seconds: float
    miou: float | None = None
    reason: str = ""


def execute(
    command: Sequence[str], folder: Path, *, cwd: Path, cpus: float, gpus: float
) -> Outcome:
    """Runs a command until its folder holds results, twice at most, and says how it ended.

    An attempt goes on from last.ckpt if there is one, but for the second if the first failed
    without writing a newer one: the checkpoint may be what it failed by. All output is added to
    run.log in the folder; failed.json says why both attempts failed.

    Args:
        command: words of a fit that leaves its results in `folder`.
        folder: of the run, from `cwd`.
        cwd: where paths begin.
        cpus: cores, the number of threads.
        gpus: none if 0; which are the run's is in the environment.
    """
    start = time.monotonic()
    place = cwd / folder
    place.mkdir(parents=True, exist_ok=True)
    threads = {"OMP_NUM_THREADS": str(max(1, int(cpus)))}
    hidden = {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}
    with (place / "run.log").open("ab") as log:
        if not _lock(log):
            reason = f"{log.name} is in use by a run that was started before; end that one"
            return Outcome("failed", time.monotonic() - start, reason=reason)
        environment = {**os.environ, **threads, **hidden}
        reason = _attempts(command, folder, log, cwd=cwd, environment=environment)
    results = read_results(place)
    if results is None:
        write_failure(place, reason, attempts=ATTEMPTS)
        return Outcome("failed", time.monotonic() - start, reason=reason)
    return Outcome("finished", time.monotonic() - start, miou=results["miou"])


def go_on(command: Sequence[str], folder: Path) -> list[str]:
    """The command that goes on from the last checkpoint in the run's folder."""
    return [*command, f"--ckpt_path={last_checkpoint(folder)}"]


def _attempts(
    command: Sequence[str], folder: Path, log: IO[bytes], *, cwd: Path, environment: dict[str, str]
) -> str:
    """Why the last attempt failed, if it did."""
    reason, doubted = "", None
    for _ in range(ATTEMPTS):
        if read_results(cwd / folder) is not None:
            break
        checkpoint = last_checkpoint(cwd / folder)
        written = checkpoint.stat().st_mtime_ns if checkpoint.is_file() else None
        resumed = written is not None and written != doubted
        words = go_on(command, folder) if resumed else [*command]
        (cwd / folder / "failed.json").unlink(missing_ok=True)
        if not resumed:
            put_aside(cwd / folder)
        log.write(f"$ {shlex.join(words)}\n".encode())
        log.flush()
        begin = log.tell()
        code = _call(words, log, cwd=cwd, environment=environment)
        # who ends a run from outside says nothing of its checkpoint
        doubted = None if _signal(code) else written
        reason = _reason(code, Path(log.name), begin=begin)
    return reason


def _call(words: Sequence[str], log: IO[bytes], *, cwd: Path, environment: dict[str, str]) -> int:
    process = subprocess.Popen(
        [sys.executable, "-IS", str(LEASH), *words],
        stdin=subprocess.PIPE,  # closes when this process ends
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=environment,
        start_new_session=True,
    )
    try:
        return process.wait()
    finally:
        with suppress(ProcessLookupError):  # nothing is left, as is usual
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _lock(log: IO[bytes]) -> bool:
    """Whether all processes of an earlier start of the run are gone, which have its log open."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        else:
            return True


def _signal(code: int) -> signal.Signals | None:
    number = code - 128 if code > 128 else -code
    return signal.Signals(number) if number in set(signal.Signals) else None


def _reason(code: int, log: Path, *, begin: int) -> str:
    ended = _signal(code)
    if ended is not None:
        hint = ", as when memory runs out" if ended == signal.SIGKILL else ""
        return f"ended by {ended.name}{hint}"
    with log.open("rb") as file:
        file.seek(begin)
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    errors = [line for line in lines if ERROR.match(line)] or [line for line in lines if line]
    said = (errors or ["no output"])[-1].removeprefix("error: ")[:LENGTH]
    return said if code else f"ended without results.json: {said}"
