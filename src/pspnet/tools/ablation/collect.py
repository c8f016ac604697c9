"""The settings of a sweep and their runs by seed, as they are on disk, finished or not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pspnet.errors import UserError
from pspnet.tools.ablation.run_files import Costs, Results, RunRecord, State, read_run
from pspnet.tools.ablation.statistics.paired import LEVEL
from pspnet.tools.ablation.statistics.sequential import reported_level

ORDER: tuple[State, ...] = ("finished", "failed", "unfinished")
RUN = re.compile(r"(seed|version)_(\d+)")


@dataclass(frozen=True)
class Setting:
    """A row of the report: a setting's name and its runs by seed."""

    name: str
    runs: Mapping[int, RunRecord]

    def count(self, state: State) -> int:
        """Return the number of runs in this state."""
        return sum(run.state == state for run in self.runs.values())

    def results(self) -> dict[int, Results]:
        """Return the results of the finished runs by seed."""
        return {seed: run.results for seed, run in self.runs.items() if run.results is not None}

    def costs(self) -> dict[int, Costs]:
        """Return the costs of the completed trainings by seed."""
        return {seed: run.costs for seed, run in self.runs.items() if run.costs is not None}


@dataclass(frozen=True)
class Collected:
    """The settings of a sweep in order, and a note per file or folder that is left out.

    `level` is that of a comparison, lower than 5 % where the sweep may stop early.
    """

    settings: tuple[Setting, ...]
    notes: tuple[str, ...]
    level: float = LEVEL

    def seeds(self) -> list[int]:
        """Return every seed that has a run."""
        return sorted({seed for setting in self.settings for seed in setting.runs})


def collect(folder: Path, *, rows: Sequence[str] | None = None) -> Collected:
    """Read the runs of a sweep; a file that cannot be read becomes a note.

    Args:
        folder: …/SWEEP/DATA, with SETTING/seed_N or, from W&B's agent, SETTING/version_N.
        rows: the settings in order; None takes those that have runs, `baseline` first.

    Raises:
        UserError: if there is no such folder, or no run in it.
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
    return Collected(tuple(settings), tuple(notes), reported_level(folder))


def disagreements(evaluations: Mapping[str, Mapping[str, str]]) -> list[str]:
    """List the options in which evaluations differ, with the labels that have each value.

    Different protocols differ in their inference options too, which are then not listed.
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
    """Return the run folders sorted by kind and number, seed_N before version_N."""
    if not setting.is_dir() or setting.name.startswith("."):
        return []
    runs = [
        (m[1], int(m[2]), path) for path in setting.iterdir() if (m := RUN.fullmatch(path.name))
    ]
    return [path for _, _, path in sorted(runs)]


def _setting(folder: Path, notes: list[str]) -> Setting:
    runs: dict[int, RunRecord] = {}
    for path in _run_folders(folder):
        seed = _seed(path)
        if seed is None:
            notes.append(
                f"{folder.name}/{path.name} left out: no seed_everything in its config.yaml"
            )
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


def _seed(folder: Path) -> int | None:
    """Return the seed from the folder's name, otherwise from the saved configuration."""
    kind, _, number = folder.name.partition("_")
    if kind == "seed":
        return int(number)
    saved = folder / "config.yaml"
    try:
        config = yaml.safe_load(saved.read_text("utf-8")) if saved.is_file() else None
    except yaml.YAMLError:
        return None
    seed = config.get("seed_everything") if isinstance(config, dict) else None
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None
