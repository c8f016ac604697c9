"""A sweep file of W&B (configs/sweeps/NAME.yaml) as the runs it stands for.

The command of a run is the one that W&B's agent makes, by W&B's own functions, and the folder that
the run is to have. A setting, a row of the report, is everything that varies but the seed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from wandb.sdk.launch.sweeps.utils import (
    DEFAULT_SWEEP_COMMAND,
    create_sweep_command,
    create_sweep_command_args,
)

from pspnet.errors import UserError
from pspnet.tools.ablation.parameters import draws, grid

SWEEPS = Path("configs/sweeps")
SEED = "seed_everything"
DATA = "${envvar:DATA}"
KEYS = {"name", "description", "project", "entity", "program", "method", "metric", "parameters"}
KEYS |= {"command", "run_cap"}
REMEDY = "run the file by W&B itself, `wandb sweep`"


@dataclass(frozen=True)
class Run:
    """One training: the setting's name, the seed, the run's folder, the words of its command."""

    setting: str
    seed: int
    folder: Path
    command: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.setting}, seed {self.seed}"


@dataclass(frozen=True)
class Sweep:
    """The runs of a sweep file on one data set, in W&B's order.

    Args:
        name: of the sweep.
        data: DATA of the sweep file, which names configs/experiment/ablation_DATA.yaml.
        folder: of all its runs, …/NAME/DATA.
        runs: at least one.
    """

    name: str
    data: str
    folder: Path
    runs: tuple[Run, ...]

    @property
    def settings(self) -> list[str]:
        """The names of the settings, in the file's order."""
        return list(dict.fromkeys(run.setting for run in self.runs))


def load_sweep(sweep: str, *, data: str) -> Sweep:
    """Reads a sweep file.

    Args:
        sweep: a file, or NAME of configs/sweeps/NAME.yaml.
        data: what stands for ${envvar:DATA}.

    Raises:
        FileNotFoundError: if there is no such sweep, or no configuration of that name.
        ValueError: if the file is no sweep, or one that only W&B can run, or if two settings or
            runs share a name.
    """
    path = _find(sweep)
    try:
        return _sweep(_read(path), stem=path.stem, data=data)
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: {error}") from error


def _find(sweep: str) -> Path:
    path = Path(sweep)
    if path.suffix not in (".yaml", ".yml"):
        path = SWEEPS / f"{sweep}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in SWEEPS.glob("*.yaml"))) or "none"
        raise UserError(f"{path}: no such sweep; give a file, or one of {SWEEPS}: {known}")
    return path


def _read(path: Path) -> dict[str, Any]:
    """The file's content, with what is left out in it."""
    content = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(content, dict):
        raise UserError("no keys; write method, parameters and command of a sweep")
    method, parameters = content.get("method"), content.get("parameters")
    cap = content.setdefault("run_cap", None)
    content["command"] = content.get("command") or DEFAULT_SWEEP_COMMAND
    undone = sorted(content.keys() - KEYS)
    if "target" in (content.get("metric") or {}):
        undone.append("metric.target")
    if undone:
        raise UserError(f"{undone[0]} is not done here; leave it out, or {REMEDY}")
    if method not in ("grid", "random"):
        raise UserError(f"method={method} is not done here; use grid or random, or {REMEDY}")
    if not isinstance(parameters, dict) or not parameters:
        raise UserError(f"parameters={parameters!r}; name at least one with its values")
    if cap is None and method == "random":
        raise UserError("method=random draws without end; add run_cap, the number of runs")
    if cap is not None and (not isinstance(cap, int) or cap < 1):
        raise UserError(f"run_cap={cap!r}; give a whole number of at least 1")
    return content


def _sweep(content: Mapping[str, Any], *, stem: str, data: str) -> Sweep:
    name, command = str(content.get("name", stem)), [str(word) for word in content["command"]]
    _check_configurations(command, data=data)
    words = [word.replace(DATA, data) for word in command]
    folder = _logs(words, name=name, data=data)
    parameters, cap = content["parameters"], content["run_cap"]
    random = content["method"] == "random"
    chosen = draws(parameters, count=cap, seed=name) if random else grid(parameters)[:cap]
    runs: dict[Path, Run] = {}
    rows: dict[str, dict[str, Any]] = {}
    for values in chosen:
        setting, named = _setting(values, parameters, sweep=name)
        filled = _fill(words, values, program=content.get("program"))
        if not named:
            filled.append(f"--name={setting}")
        run = _run(values, filled, setting=setting, folder=folder)
        rest = {key: value for key, value in values.items() if key != SEED}
        if rows.setdefault(setting, rest) != rest or run.folder in runs:
            raise UserError(f"two runs are both {run}; give each setting its own name")
        runs[run.folder] = run
    return Sweep(name=name, data=data, folder=folder, runs=tuple(runs.values()))


def _check_configurations(command: list[str], *, data: str) -> None:
    for word in command:
        key, _, template = word.partition("=")
        path = template.replace(DATA, data)
        if key != "--config" or Path(path).is_file():
            continue
        if DATA not in template:
            raise UserError(f"{path}: no such file; run it where the sweep's paths begin")
        before, after = template.split(DATA)
        pattern = Path(f"{before}*{after}")
        found = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
        known = sorted(str(one)[len(before) : -len(after) or None] for one in found)
        raise UserError(f"data={data}: {path} is missing; known are {', '.join(known)}")


def _logs(words: list[str], *, name: str, data: str) -> Path:
    """The folder of all runs, of the command's --logs."""
    given = [word.removeprefix("--logs=") for word in words if word.startswith("--logs=")]
    folder = Path(given[-1]) if given else Path()
    if folder.parts[-2:] != (name, data):
        raise UserError(f"add --logs=logs/ablation/{name}/{DATA} to command, for its runs")
    return folder


def _setting(
    values: Mapping[str, Any], parameters: Mapping[str, Any], *, sweep: str
) -> tuple[str, bool]:
    """The setting's name, and whether the values themselves say it to the run."""
    says = {key for key, value in values.items() if key == "name" or _named(value)}
    names = [values[key] if key == "name" else values[key]["name"] for key in sorted(says)]
    for name in names:
        if not isinstance(name, str):
            raise UserError(f"name={name!r}; put it in quotes, as it is a word")
    varied = {key for key, spec in parameters.items() if "value" not in spec}
    others = sorted(varied - says - {SEED})
    short = {key: key.rpartition(".")[2] for key in others}
    if len(set(short.values())) < len(short):
        short = {key: key for key in others}
    setting = ",".join([*names, *(f"{short[key]}={_word(values[key])}" for key in others)])
    if "/" in setting or (names and not setting.strip(". ")):
        raise UserError(f"name={setting!r}: it names a folder; leave out '/'")
    return setting or sweep, len(names) == 1 and not others


def _named(value: Any) -> bool:
    return isinstance(value, Mapping) and "name" in value


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    word = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return word.replace("/", "_")


def _fill(words: list[str], values: Mapping[str, Any], *, program: str | None) -> list[str]:
    """The words with W&B's macros filled in."""
    macros = create_sweep_command_args({"args": {k: {"value": v} for k, v in values.items()}})
    # the agent's are /usr/bin/env and python
    macros |= {"env": [], "interpreter": [sys.executable], "program": [str(program)]}
    filled: list[str] = []
    for word in create_sweep_command(list(words)):
        macro = word.startswith("${") and word.endswith("}")
        if macro and word[2:-1] not in macros:
            raise UserError(f"command: {word} is not done here; use ${{args}}")
        filled += macros[word[2:-1]] if macro else [word]
    return filled


def _run(values: Mapping[str, Any], command: list[str], *, setting: str, folder: Path) -> Run:
    seed = values.get(SEED, 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UserError(f"{SEED}={seed!r}; give whole numbers of at least 0")
    version = f"seed_{seed}"
    return Run(setting, seed, folder / setting / version, (*command, f"--version={version}"))
