"""The files that a run leaves: its scores, its costs, or why it failed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from pspnet.errors import UserError

State = Literal["finished", "failed", "unfinished"]
T = TypeVar("T")


@dataclass(frozen=True)
class Results:
    """Scores of a run, fractions of 0 to 1, and how it was evaluated, option by option.

    A class that is in neither prediction nor truth has no IoU: None. Without any there is no mIoU.
    """

    miou: float | None
    pixel_accuracy: float | None
    classes: Mapping[str, float | None]
    groups: Mapping[str, float | None]
    evaluation: Mapping[str, str]


@dataclass(frozen=True)
class Costs:
    """What a training cost: numbers, operations of one image, bytes, seconds; None is unknown."""

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
class Record:
    """A run's folder and what is in it; `reason` says why it failed."""

    folder: Path
    state: State
    reason: str = ""
    results: Results | None = None
    costs: Costs | None = None


def read_run(folder: Path, notes: list[str]) -> Record:
    """What is in a run's folder; a file that cannot be read is as if absent, and a note says so."""
    costs = _try(_costs, folder / "costs.json", notes)
    results = _try(_results, folder / "results.json", notes)
    if results is not None:
        return Record(folder, "finished", results=results, costs=costs)
    failure = _try(_failure, folder / "failed.json", notes)
    if failure is not None:
        return Record(folder, "failed", reason=failure, costs=costs)
    return Record(folder, "unfinished", costs=costs)


def _try(read: Callable[[dict[str, Any]], T], path: Path, notes: list[str]) -> T | None:
    """What `read` makes of a JSON object; None and a note if it cannot, None if there is none."""
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text("utf-8"))
        if not isinstance(data, dict):
            raise UserError("holds no JSON object")
        return read(data)
    except (OSError, ValueError) as error:
        said = "is no JSON" if isinstance(error, json.JSONDecodeError) else str(error)
        where = "/".join(path.parts[-3:])
        notes.append(f"{where} left out: {' '.join(said.split())}")
        return None


def _results(data: dict[str, Any]) -> Results:
    if "miou" not in data:
        raise UserError("has no miou")
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
    reason = " ".join(str(data.get("reason", "no reason given")).split())
    return f"{reason} ({attempts} attempts)" if (attempts := data.get("attempts")) else reason


def _numbers(data: Mapping[str, Any], key: str) -> dict[str, float | None]:
    table = _table(data, key)
    return {name: _number(table, name) for name in table}


def _table(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    table = data.get(key) or {}
    if not isinstance(table, dict):
        raise UserError(f"{key} is {table!r}, no table")
    return table


def _number(data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{key} is {value!r}, no number")
    return value
