"""Sweep files in W&B's format (configs/sweeps/NAME.yaml), and the runs that they define.

The command of a run is the one that W&B's agent composes, plus the folder of the run. A setting is
everything that varies except the seed; it becomes a row of the report.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pspnet.command_line.parsing.words import config_file
from pspnet.errors import UserError
from pspnet.files.text import path_part
from pspnet.files.yaml_files import read_yaml

SEED = "seed_everything"
DATA = "${envvar:DATA}"
# W&B's own default command
COMMAND = ["${env}", "${interpreter}", "${program}", "${args}"]
KEYS = {"name", "description", "project", "entity", "program", "method", "metric", "parameters"}
KEYS |= {"command", "run_cap"}
REMEDY = "`wandb sweep` runs such a file"

Values = dict[str, Any]  # by parameter


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
        name: the name in the file, by default the file's own.
        data: the value of DATA, which names configs/experiment/ablation_DATA.yaml.
        folder: the parent of all run folders, …/NAME/DATA.
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


def load_sweep(sweep: str, *, data: str, seeds: int | None = None) -> Sweep:
    """Read a sweep file.

    Args:
        sweep: a file, or the name of a file in configs/sweeps.
        data: the replacement of ${envvar:DATA}.
        seeds: the number of seeds, from 0 on, in place of the file's; None takes those.

    Raises:
        UserError: if there is no such sweep or configuration, if only W&B can run the file, or if
            two settings or runs share a name.
    """
    path = config_file(sweep, "sweeps")
    path_part(data, option="data")
    content = read_yaml(path, expected="a sweep")
    try:
        _check(content)
        if seeds is not None:
            content["parameters"][SEED] = {"values": [*range(seeds)]}
        return _sweep(content, name=str(content.get("name", path.stem)), data=data)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _check(content: Any) -> None:
    """Refuse whatever would run otherwise here than under W&B."""
    if not isinstance(content, dict):
        raise UserError("no sweep; write method, parameters and command")
    if content.get("method") != "grid":
        raise UserError(f"method={content.get('method')}: only grid is run here; {REMEDY}")
    unknown = sorted(content.keys() - KEYS)
    if "target" in (content.get("metric") or {}):
        unknown.append("metric.target")
    if unknown:
        raise UserError(f"{unknown[0]} is not supported here; leave it out, or {REMEDY}")
    parameters, cap = content.get("parameters"), content.get("run_cap")
    if not isinstance(parameters, dict) or not parameters:
        raise UserError(f"parameters={parameters!r}; name at least one with its values")
    if cap is not None and (not isinstance(cap, int) or cap < 1):
        raise UserError(f"run_cap={cap!r}; give an integer of at least 1")
    for name, spec in parameters.items():
        if not isinstance(spec, dict) or set(spec) not in ({"value"}, {"values"}):
            raise UserError(f"{name}: only `value` and `values` are run here; {REMEDY}")
        if "values" in spec and not (isinstance(spec["values"], list) and spec["values"]):
            raise UserError(f"{name}: values={spec['values']!r}; give a list of at least one")


def grid(parameters: Mapping[str, Mapping[str, Any]]) -> list[Values]:
    """Return every combination of the values.

    As with W&B's agent, the parameters are sorted, and the last one changes fastest.
    """
    names = sorted(parameters)
    values = [parameters[name].get("values", [parameters[name].get("value")]) for name in names]
    return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]


def _sweep(content: Mapping[str, Any], *, name: str, data: str) -> Sweep:
    parameters = content["parameters"]
    command = [str(word) for word in content.get("command") or COMMAND]
    _check_configurations(command, data=data)
    words = [_with_environment(word.replace(DATA, data)) for word in command]
    folder = _run_parent(words, name=name, data=data)
    varied = {key for key, spec in parameters.items() if "values" in spec}
    runs: dict[Path, Run] = {}
    options: dict[str, Values] = {}
    for values in grid(parameters)[: content.get("run_cap")]:
        setting, named = _setting(values, varied, sweep=name)
        filled = _fill(words, values, program=str(content.get("program")))
        if not named:
            filled.append(f"--name={setting}")
        run = _run(values, filled, setting=setting, folder=folder)
        others = {key: value for key, value in values.items() if key != SEED}
        if options.setdefault(setting, others) != others or run.folder in runs:
            raise UserError(f"two runs are both {run}; give each setting its own name")
        runs[run.folder] = run
    return Sweep(name=name, data=data, folder=folder, runs=tuple(runs.values()))


def _check_configurations(command: list[str], *, data: str) -> None:
    """Refuse a command whose configuration files are missing."""
    for word in command:
        key, _, template = word.partition("=")
        if key != "--config":
            continue
        try:
            config_file(template.replace(DATA, data))
        except UserError as error:
            raise UserError(f"data={data}: {error}" if DATA in template else str(error)) from error


def _with_environment(word: str) -> str:
    """Replace ${envvar:NAME}; W&B leaves the name where there is no such variable."""
    return re.sub(r"\$\{envvar:([A-Z0-9_]*)\}", lambda m: os.environ.get(m[1], m[1]), word)


def _run_parent(words: list[str], *, name: str, data: str) -> Path:
    """Return the folder of all runs: the value of --logs in the command."""
    given = [word.removeprefix("--logs=") for word in words if word.startswith("--logs=")]
    folder = Path(given[-1]) if given else Path()
    if folder.parts[-2:] != (name, data):
        raise UserError(f"add --logs=logs/ablation/{name}/{DATA} to command, for its runs")
    return folder


def _setting(values: Values, varied: set[str], *, sweep: str) -> tuple[str, bool]:
    """Return the setting's name, and whether the values already pass it to the run.

    It joins the `name` values with KEY=VALUE of what else varies.
    """
    naming = sorted(
        key
        for key, value in values.items()
        if key == "name" or (isinstance(value, dict) and "name" in value)
    )
    names = [values[key] if key == "name" else values[key]["name"] for key in naming]
    for name in names:
        if not isinstance(name, str):
            raise UserError(f"name={name!r}; put it in quotes, since a name is a string")
    others = sorted(varied - {*naming, SEED})
    labels = [key.rpartition(".")[2] for key in others]
    if len(set(labels)) < len(labels):
        labels = others
    pairs = [f"{label}={_text(values[key])}" for label, key in zip(labels, others, strict=True)]
    setting = ",".join([*names, *pairs]) or sweep
    return path_part(setting, option="name"), len(names) == 1 and not others


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text.replace("/", "_")


def _fill(words: list[str], values: Values, *, program: str) -> list[str]:
    """Replace W&B's macros, as its agent does; an option is written as Python prints its value."""
    options = [f"{key}={value}" for key, value in values.items()]
    macros = {
        "${env}": [],
        "${interpreter}": [sys.executable],
        "${program}": [program],
        "${args}": [f"--{option}" for option in options],
        "${args_no_hyphens}": options,
    }
    filled: list[str] = []
    for word in words:
        if word not in macros and re.fullmatch(r"\$\{.*\}", word):
            raise UserError(f"command: {word} is not supported here; use ${{args}}, or {REMEDY}")
        filled += macros.get(word, [word])
    return filled


def _run(values: Values, command: list[str], *, setting: str, folder: Path) -> Run:
    seed = values.get(SEED, 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UserError(f"{SEED}={seed!r}; give integers of at least 0")
    version = f"seed_{seed}"
    return Run(setting, seed, folder / setting / version, (*command, f"--version={version}"))
