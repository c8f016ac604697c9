"""Jobs of SLURM that are requeued: each continues the run that it has started, and no other.

Lightning's own requeueing is off: it leaves a checkpoint in the working folder, from which every
later training there would start.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

SIGNAL = getattr(signal, "SIGUSR1", None)  # as in `sbatch --signal=USR1@90 --requeue`
RECORD = "slurm.json"


def job() -> str | None:
    """Return the id of the job that this process runs in, that of its task in an array."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    if array:
        return f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    return os.environ.get("SLURM_JOB_ID") or None


def requeue() -> bool:
    """Put this process's job back into SLURM's queue; return whether SLURM has taken it."""
    own = job()
    if own is None:
        return False
    try:
        code = subprocess.call(["scontrol", "requeue", own], stdin=subprocess.DEVNULL)
    except OSError:
        code = 127
    taken = code == 0
    said = "requeued" if taken else f"not requeued: scontrol requeue ended with status {code}"
    sys.stderr.write(f"job {own}: {said}\n")
    return taken


def restarts() -> int:
    """Return how often this process's job has been requeued."""
    count = os.environ.get("SLURM_RESTART_COUNT", "")
    return int(count) if count.isdigit() else 0


def record(folder: Path) -> None:
    """Note in a run's folder which job has started it, if one has, and by which command.

    A job may start several runs of a name.
    """
    if job() is not None:
        (folder / RECORD).write_text(json.dumps(_own()) + "\n", "utf-8")


def own_run(logs: Path) -> Path | None:
    """Return the newest run in a folder of all runs that this job started before its requeue."""
    wanted = _own()
    records = [*logs.glob(f"*/*/{RECORD}"), *logs.glob(f"*/*/*/{RECORD}")]
    own = [path for path in records if _read(path) == wanted]
    return max(own, key=lambda path: path.stat().st_mtime).parent if own else None


def _own() -> dict[str, object]:
    return {"job": job(), "words": sys.argv[1:]}


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
