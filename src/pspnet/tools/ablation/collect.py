"""The settings of a sweep and their runs by seed, as they are on disk, finished or not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pspnet.errors import UserError
from pspnet.tools.ablation.records import Costs, Record, Results, State, read_run

ORDER: tuple[State, ...] = ("finished", "failed", "unfinished")
RUN = re.compile(r"(seed|version)_(\d+)")


@dataclass(frozen=True)
class Setting:
    """A row: its runs by seed."""

    name: str
    runs: Mapping[int, Record]

    def count(self, state: State) -> int:
        """Number of runs in this state."""
        return sum(run.state == state for run in self.runs.values())

    def results(self) -> dict[int, Results]:
        """Of the finished runs, by seed."""
        return {seed: run.results for seed, run in self.runs.items() if run.results is not None}

    def costs(self) -> dict[int, Costs]:
        """Of the runs that were trained to the end, by seed."""
        return {seed: run.costs for seed, run in self.runs.items() if run.costs is not None}


@dataclass(frozen=True)
class Collected:
    """What a sweep has left: its settings in order, and what could not be used, a line each."""

    settings: tuple[Setting, ...]
    notes: tuple[str, ...]

    def seeds(self) -> list[int]:
        """Every seed that has a run."""
        return sorted({seed for setting in self.settings for seed in setting.runs})


def collect(folder: Path, *, rows: Sequence[str] | None = None) -> Collected:
    """Reads what is there, finished or not; a file that cannot be read becomes a note.

    Args:
        folder: of the sweep on one data set: SETTING/seed_N or, by W&B's agent, SETTING/version_N.
        rows: the settings in order; None takes those that have runs, `baseline` first.

    Raises:
        FileNotFoundError: if there is no such folder, or no run in it.
    """
    if not folder.is_dir():
        logs = folder.parent.parent
        there = sorted(f"{path.parent.name} on {path.name}" for path in logs.glob("*/*/"))
        others = f", or name one of {', '.join(there)}" if there else ""
        raise UserError(f"{folder}: no such folder; run the sweep first{others}")
    found = {path.name: path for path in sorted(folder.iterdir()) if _run_folders(path)}
    if not found:
        raise UserError(f"{folder} holds no run; run the sweep first")
    notes: list[str] = []
    names = sorted(found, key=lambda name: name != "baseline") if rows is None else list(rows)
    settings = [_setting(folder / name, notes) for name in names]
    extra = [name for name in found if name not in names]
    if extra:
        notes.append(f"on disk but no setting of the sweep, left out: {', '.join(extra)}")
    return Collected(tuple(settings), tuple(notes))


def disagreements(evaluations: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Each option in which evaluations differ, with the labels of those that have each value.

    Of different protocols their inference options, which differ with them, are not listed.
    """
    lines: list[str] = []
    for option in dict.fromkeys(option for given in evaluations.values() for option in given):
        if option.startswith("inference.") and any(x.startswith("protocol") for x in lines):
            break
        values: dict[str, list[str]] = {}
        for label, given in evaluations.items():
            values.setdefault(given.get(option, "not said"), []).append(label)
        if len(values) > 1:
            parts = [f"{value} ({', '.join(labels)})" for value, labels in values.items()]
            lines.append(f"{option} is {', '.join(parts)}")
    return lines


def _run_folders(setting: Path) -> list[Path]:
    """In the order of kind and number, seed_N before version_N."""
    if not setting.is_dir() or setting.name.startswith("."):
        return []
    runs = [
        (m[1], int(m[2]), path) for path in setting.iterdir() if (m := RUN.fullmatch(path.name))
    ]
    return [path for _, _, path in sorted(runs)]


def _setting(folder: Path, notes: list[str]) -> Setting:
    runs: dict[int, Record] = {}
    for path in _run_folders(folder):
        seed = _seed(path, notes)
        if seed is None:
            continue
        run, other = read_run(path, notes), runs.get(seed)
        if other is None:
            runs[seed] = run
            continue
        kept, left = sorted((other, run), key=lambda run: ORDER.index(run.state))
        runs[seed] = kept
        notes.append(
            f"{folder.name}: seed {seed} is there twice; {kept.folder.name} ({kept.state}) counts, "
            f"{left.folder.name} ({left.state}) does not"
        )
    return Setting(folder.name, dict(sorted(runs.items())))


def _seed(folder: Path, notes: list[str]) -> int | None:
    """Of the folder's name, or else of the configuration that was saved in it."""
    match = RUN.fullmatch(folder.name)
    if match and match[1] == "seed":
        return int(match[2])
    where = f"{folder.parent.name}/{folder.name}"
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
        seed = config["seed_everything"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError):
        seed = None
    if isinstance(seed, int) and not isinstance(seed, bool):
        return seed
    notes.append(f"{where} left out: no seed_everything in its config.yaml")
    return None
