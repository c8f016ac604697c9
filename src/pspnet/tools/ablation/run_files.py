"""The files of a run's folder: its scores, its costs, its log, or the reason that it failed."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from pspnet.files.writing import write_atomic

State = Literal["finished", "failed", "unfinished", "not run"]
T = TypeVar("T")


@dataclass(frozen=True)
class Results:
    """Scores of a run, fractions of 0 to 1, and how it was evaluated, option by option.

    A class that is in neither prediction nor target has no IoU: None. Without any IoU, miou is
    None.
    """

    miou: float | None
    pixel_accuracy: float | None
    classes: Mapping[str, float | None]
    groups: Mapping[str, float | None]
    evaluation: Mapping[str, str]
    train_miou: float | None = None  # of the crops of the checkpoint's epoch


@dataclass(frozen=True)
class Costs:
    """Costs of a training: counts, FLOPs of one image, bytes, seconds; None if unknown."""

    parameters: float | None = None
    parameters_inference: float | None = None
    flops: float | None = None
    images_per_second: float | None = None
    peak_memory: float | None = None
    threads: float | None = None
    seconds: float | None = None
    peak_memory_of: str = "?"
    device: str = "?"
    crop_size: str = "?"


@dataclass(frozen=True)
class RunRecord:
    """The content of a run's folder; `reason` says why the run failed."""

    folder: Path
    state: State
    reason: str = ""
    results: Results | None = None
    costs: Costs | None = None


class Unreadable(Exception):
    """A file whose content is not what its writer writes; the message says in what way."""


def read_run(folder: Path, notes: list[str] | None = None) -> RunRecord:
    """Read a run's folder; a file that cannot be read counts as absent, and a note says so."""
    notes = [] if notes is None else notes
    costs = _try(_costs, folder / "costs.json", notes)
    results = _try(_results, folder / "results.json", notes)
    if results is not None:
        return RunRecord(folder, "finished", results=results, costs=costs)
    failure = _try(_failure, folder / "failed.json", notes)
    if failure is not None:
        return RunRecord(folder, "failed", reason=failure, costs=costs)
    return RunRecord(folder, "unfinished" if folder.is_dir() else "not run", costs=costs)


def write_failure(folder: Path, reason: str) -> None:
    """Write failed.json."""
    content = json.dumps({"reason": reason}, indent=2)
    write_atomic(folder / "failed.json", f"{content}\n".encode())


def resumable_checkpoint(folder: Path) -> Path | None:
    """Return last.ckpt of a run if it is complete and has not changed since it was written."""
    path = folder / "checkpoints" / "last.ckpt"
    try:
        with zipfile.ZipFile(path) as archive:
            return path if archive.testzip() is None else None
    except (OSError, zipfile.BadZipFile):
        return None


def resuming_command(command: Sequence[str], folder: Path) -> list[str]:
    """Return the command that resumes from the last checkpoint of a run, if there is one."""
    checkpoint = resumable_checkpoint(folder)
    return [*command] if checkpoint is None else [*command, f"--ckpt_path={checkpoint}"]


def _try(read: Callable[[dict[str, Any]], T], path: Path, notes: list[str]) -> T | None:
    """Return what `read` takes from a JSON object, or None with a note if it cannot."""
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_bytes())
        if not isinstance(data, dict):
            raise Unreadable("holds no JSON object")
        return read(data)
    except (json.JSONDecodeError, UnicodeDecodeError):
        said = "is no JSON"
    except Unreadable as error:
        said = str(error)
    notes.append(f"{'/'.join(path.parts[-3:])} left out: {said}")
    return None


def _results(data: dict[str, Any]) -> Results:
    if "miou" not in data:
        raise Unreadable("has no miou")
    # `name` is the protocol's, `batch` changes no score
    options = {k: v for k, v in _table(data, "inference").items() if k not in ("name", "batch")}
    return Results(
        _number(data, "miou"),
        _number(data, "pixel_accuracy"),
        _numbers(data, "iou"),
        _numbers(data, "groups"),
        {
            **{key: str(data.get(key, "not said")) for key in ("protocol", "split", "absent")},
            **{f"inference.{key}": str(value) for key, value in options.items()},
        },
        _number(data, "train_miou"),
    )


def _costs(data: dict[str, Any]) -> Costs:
    texts = ("peak_memory_of", "device", "crop_size")
    numbers = {f.name: _number(data, f.name) for f in fields(Costs) if f.name not in texts}
    crop = data.get("crop_size")
    return Costs(
        **numbers,
        peak_memory_of=str(data.get("peak_memory_of", "?")),
        device=str(data.get("device", "?")),
        crop_size="×".join(map(str, crop)) if isinstance(crop, list) else "?",
    )


def _failure(data: dict[str, Any]) -> str:
    return " ".join(str(data.get("reason", "no reason given")).split())


def _numbers(data: Mapping[str, Any], key: str) -> dict[str, float | None]:
    table = _table(data, key)
    return {name: _number(table, name) for name in table}


def _table(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    table = data.get(key) or {}
    if not isinstance(table, dict):
        raise Unreadable(f"{key} is {table!r}, no table")
    return table


def _number(data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise Unreadable(f"{key} is {value!r}, no number")
    return value
