"""The folder of a run: what it says of the run, and what is kept of an interrupted training."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any, Literal

State = Literal["finished", "failed", "half-finished", "to do"]
ASIDE = re.compile(r"before_\d+")


def read_state(folder: Path) -> State:
    """What the folder of a run says of it."""
    if read_results(folder) is not None:
        return "finished"
    if (folder / "failed.json").is_file():
        return "failed"
    return "half-finished" if last_checkpoint(folder).is_file() else "to do"


def read_results(folder: Path) -> dict[str, Any] | None:
    """results.json, if it is there and whole."""
    return _read(folder / "results.json", key="miou")


def read_seconds(folder: Path) -> float | None:
    """How long the training took, by costs.json."""
    costs = _read(folder / "costs.json", key="seconds")
    return None if costs is None else float(costs["seconds"])


def read_reason(folder: Path) -> str:
    """Why the run failed, by failed.json."""
    failure = _read(folder / "failed.json", key="reason")
    return "unknown" if failure is None else str(failure["reason"])


def write_failure(folder: Path, reason: str, *, attempts: int) -> None:
    """Writes failed.json."""
    content = json.dumps({"reason": reason, "attempts": attempts}, indent=2)
    partial = folder / "failed.json.partial"
    partial.write_text(f"{content}\n", "utf-8")
    partial.replace(folder / "failed.json")


def last_checkpoint(folder: Path) -> Path:
    """What a run goes on from, if it is there."""
    return folder / "checkpoints" / "last.ckpt"


def put_aside(folder: Path) -> None:
    """Moves what an attempt left into before_N, all but run.log, so that the next begins anew."""
    kept = [path for path in folder.iterdir() if ASIDE.fullmatch(path.name)]
    left = {*folder.iterdir()} - {*kept, folder / "run.log"}
    aside = folder / f"before_{1 + max(map(_number, kept), default=0)}"
    for path in left:
        aside.mkdir(exist_ok=True)
        path.rename(aside / path.name)


def join_metrics(folder: Path) -> bool:
    """Joins the metrics.csv of a run that was gone on with to those before it; True if there were.

    Of steps that were logged again after an interruption the later rows stay.
    """
    parts = sorted(folder.glob("metrics.before_*.csv"), key=_number)
    if not parts:
        return False
    rows: list[dict[str, str]] = []
    for part in [*parts, folder / "metrics.csv"]:
        later = _rows(part)
        first = min((int(row["step"]) for row in later), default=sys.maxsize)
        rows = [row for row in rows if int(row["step"]) < first] + later
    joined = folder / "metrics.csv.partial"
    with joined.open("w", newline="") as file:
        writer = csv.DictWriter(file, sorted({key for row in rows for key in row}))
        writer.writeheader()
        writer.writerows(rows)
    joined.replace(folder / "metrics.csv")
    for part in parts:
        part.unlink()
    return True


def _rows(part: Path) -> list[dict[str, str]]:
    if not part.is_file():
        return []
    with part.open(newline="") as file:
        # the last may have been cut short when the run was ended
        return [row for row in csv.DictReader(file) if row.get("step") and None not in row.values()]


def _number(path: Path) -> int:
    return int(path.name.removesuffix(".csv").rpartition("_")[2])


def _read(path: Path, *, key: str) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and key in content else None
