"""Sweep files against W&B's own functions and scipy's distributions; what is refused; the list."""

import itertools
import json
import math
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import yaml
from pspnet.tools.ablation.listing import describe, estimate
from pspnet.tools.ablation.parameters import draws, grid
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from pspnet.cli import main as pspnet
from pspnet.errors import UserError
from pspnet.tools.ablation.__main__ import main
from pspnet.tools.ablation.sweep import Sweep, load_sweep

ROOT = Path(__file__).parents[3]
SWEEPS = sorted((ROOT / "configs" / "sweeps").glob("*.yaml"))
COMMAND = ["${env}", "${interpreter}", "-m", "pspnet", "fit", "--config=base.yaml"]
COMMAND += ["--config=of_${envvar:DATA}.yaml", "--logs=logs/ablation/own/${envvar:DATA}", "${args}"]
OWN = {
    "program": "pspnet",
    "method": "grid",
    "command": COMMAND,
    "parameters": {
        "model.auxiliary_weight": {"values": [0, 0.3]},
        "model.loss": {"value": None},
        "model.network.bins": {"values": [[1], [1, 2, 3, 6]]},
        "model.network.reduce": {"value": False},
        "seed_everything": {"min": 3, "max": 4},
    },
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes own.yaml, the sweep above with changes, and reads it on the data set toys."""
    monkeypatch.chdir(tmp_path)
    for name in ("base", "of_toys", "of_games"):
        Path(f"{name}.yaml").write_text("{}")

    def read(*, data: str = "toys", **changes: object) -> Sweep:
        content = {k: v for k, v in {**OWN, **changes}.items() if v is not None}
        Path("own.yaml").write_text(yaml.safe_dump(content))
        return load_sweep("own.yaml", data=data)

    return read


def agent_commands(path: Path, monkeypatch, *, data: str) -> list[list[str]]:
    """What W&B's agent runs: its server sends the values as JSON with sorted keys."""
    monkeypatch.setenv("DATA", data)
    content = yaml.safe_load(path.read_text())
    specs = content["parameters"]
    axes = [
        spec["values"] if "values" in spec else [spec["value"]] for _, spec in sorted(specs.items())
    ]
    commands = []
    for values in itertools.product(*axes):
        sent = json.loads(json.dumps(dict(zip(sorted(specs), values, strict=True))))
        parts = create_sweep_command_args({"args": {k: {"value": v} for k, v in sent.items()}})
        parts |= {"env": ["/usr/bin/env"], "interpreter": ["python"]}
        words = create_sweep_command(list(content["command"]))
        commands.append([part for word in words for part in parts.get(word[2:-1], [word])])
    return commands


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_runs_are_those_of_the_agent_and_parse(path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    sweep = load_sweep(path.stem, data="scenes")
    expected = agent_commands(path, monkeypatch, data="scenes")
    assert len({run.folder for run in sweep.runs}) == len(expected)
    for run, words in zip(sweep.runs, expected, strict=True):
        assert words[:2] == ["/usr/bin/env", "python"]
        assert run.command[0] == sys.executable
        assert list(run.command[1:]) == [*words[2:], f"--version={run.folder.name}"]
    for setting, run in {run.setting: run for run in sweep.runs}.items():
        with pytest.raises(SystemExit) as end:
            pspnet([*run.command[3:], "--print_config"])
        assert end.value.code == 0
        config = yaml.safe_load(capsys.readouterr().out)
        assert (config["name"], config["seed_everything"]) == (setting, run.seed)
        assert Path(config["logs"], config["name"], config["version"]) == run.folder
        wanted = next(v for v in _configs(path) if v["name"] == setting)
        assert _holds(config, wanted)


def _configs(path: Path) -> list[dict]:
    return yaml.safe_load(path.read_text())["parameters"]["config"]["values"]


def _holds(config: object, wanted: object) -> bool:
    if isinstance(wanted, dict) and isinstance(config, dict):
        return all(_holds(config[key], value) for key, value in wanted.items())
    return config == wanted


def test_a_setting_is_all_but_the_seed(own):
    sweep = own()
    assert (sweep.name, sweep.folder) == ("own", Path("logs/ablation/own/toys"))
    assert sweep.settings == [
        "auxiliary_weight=0,bins=[1]",
        "auxiliary_weight=0,bins=[1,2,3,6]",
        "auxiliary_weight=0.3,bins=[1]",
        "auxiliary_weight=0.3,bins=[1,2,3,6]",
    ]
    assert [run.seed for run in sweep.runs] == [3, 4] * 4
    last = sweep.runs[-1]
    assert last.folder == sweep.folder / sweep.settings[-1] / "seed_4"
    assert list(last.command[1:]) == [
        *("-m", "pspnet", "fit", "--config=base.yaml", "--config=of_toys.yaml"),
        *("--logs=logs/ablation/own/toys", "--model.auxiliary_weight=0.3", "--model.loss=None"),
        *("--model.network.bins=[1, 2, 3, 6]", "--model.network.reduce=False"),
        *("--seed_everything=4", "--name=auxiliary_weight=0.3,bins=[1,2,3,6]", "--version=seed_4"),
    ]


def test_names_of_settings(own):
    def settings(**parameters: object) -> list[str]:
        return own(parameters=parameters).settings

    pair = {"values": [{"name": "x"}, {"name": "y"}]}
    assert settings(config=pair) == ["x", "y"]
    assert settings(config=pair, lr={"values": [1e-4]}) == ["x,lr=0.0001", "y,lr=0.0001"]
    assert settings(**{"a.n": {"values": [True]}, "b.n": {"values": [None]}}) == [
        "a.n=true,b.n=null"
    ]
    assert settings(name={"values": ["p", "q"]}, lr={"value": 1}) == ["p", "q"]
    assert settings(seed_everything={"values": [1, 2]}) == ["own"]
    named = own(parameters={"config": pair}).runs[0].command
    assert not any(word.startswith("--name") for word in named)  # the agent's own command


def test_run_cap_and_macros_mean_what_wandb_says(own):
    assert len(own(run_cap=3).runs) == 3
    command = ["${program}", "${args_no_hyphens}", "--logs=logs/ablation/own/toys"]
    words = own(command=command, parameters={"a": {"value": False}}).runs[0].command
    assert list(words[:2]) == ["pspnet", "a=False"]


def test_grid_takes_the_alphabet_and_the_last_is_fastest():
    parameters = {"b": {"values": [1, 2]}, "a": {"values": ["x", None]}, "c": {"value": [3]}}
    chosen = [(run["a"], run["b"], run["c"]) for run in grid(parameters)]
    assert chosen == [("x", 1, [3]), ("x", 2, [3]), (None, 1, [3]), (None, 2, [3])]


def _loguniform(low: float, high: float) -> object:
    return scipy.stats.loguniform(math.exp(low), math.exp(high))


CONTINUOUS = {
    "uniform": ({"min": -1.0, "max": 3.0}, scipy.stats.uniform(-1, 4)),
    "log_uniform": ({"min": -2, "max": 1}, _loguniform(-2, 1)),
    "log_uniform_values": ({"min": 0.01, "max": 10}, scipy.stats.loguniform(0.01, 10)),
    "inv_log_uniform": ({"min": -2, "max": 1}, _loguniform(-1, 2)),
    "inv_log_uniform_values": ({"min": 0.01, "max": 10}, scipy.stats.loguniform(0.01, 10)),
    "normal": ({"mu": 2, "sigma": 0.5}, scipy.stats.norm(2, 0.5)),
    "log_normal": ({"sigma": 0.5}, scipy.stats.lognorm(0.5)),
    "beta": ({"a": 2, "b": 5}, scipy.stats.beta(2, 5)),
}


@pytest.mark.parametrize("kind", CONTINUOUS)
def test_draws_are_of_the_distribution(kind):
    spec, reference = CONTINUOUS[kind]
    values = [run["x"] for run in draws({"x": {"distribution": kind, **spec}}, count=2000, seed="")]
    assert scipy.stats.kstest(values, reference.cdf).pvalue > 0.01


@pytest.mark.parametrize("kind", ["uniform", "log_uniform", "log_uniform_values", "normal", "beta"])
def test_quantized_draws_are_the_rounded_ones(kind):
    spec = CONTINUOUS[kind][0]

    def values(kind: str, **more: float) -> list[float]:
        parameter = {"distribution": kind, **spec, **more}
        return [run["x"] for run in draws({"x": parameter}, count=50, seed="s")]

    plain = values(kind)
    assert len(set(plain)) == 50
    assert set(values(f"q_{kind}", q=0.125)) == {round(8 * x) / 8 for x in plain}
    whole = values(f"q_{kind}")
    assert set(whole) == {round(x) for x in plain}
    assert all(isinstance(x, int) for x in whole)


def test_draws_of_values_have_their_chances():
    other = {"distribution": "uniform", "min": 0.0, "max": 1.0}  # else draws would repeat
    parameters = {
        "one": {"values": ["a", "b", "c"]},
        "two": {"values": ["a", "b"], "probabilities": [0.9, 0.1]},
        "three": {"min": 5, "max": 8},
        "z": other,
    }
    runs = draws(parameters, count=4000, seed="")
    for name, expected in (
        ("one", dict.fromkeys("abc", 1 / 3)),
        ("two", {"a": 0.9, "b": 0.1}),
        ("three", dict.fromkeys((5, 6, 7, 8), 1 / 4)),
    ):
        found, counts = np.unique([run[name] for run in runs], return_counts=True)
        assert [*found] == [*expected]
        assert counts / 4000 == pytest.approx([*expected.values()], abs=0.03)


def test_draws_are_the_same_again_and_go_on(own):
    parameters = {
        "model.lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
        "model.network.bins": {"values": [[1], [2], [3]]},
    }
    few, more = (own(method="random", run_cap=n, parameters=parameters).runs for n in (4, 9))
    assert more[:4] == few
    assert len({run.folder for run in more}) == 9
    assert all(run.folder.name == "seed_0" for run in more)
    repeated = own(method="random", run_cap=9, parameters={"a": {"values": [1, 2]}})
    assert sorted(repeated.settings) == ["a=1", "a=2"]  # drawn again is the same run


PARAMETER = {
    "x: give value, values, or min and max": {"min": 1},
    "x: values=[]; give a list": {"values": []},
    "x: values=3; give a list": {"values": 3},
    "x: distribution=gaussian is not of": {"distribution": "gaussian", "mu": 1},
    "x: normal has no min": {"distribution": "normal", "min": 1},
    "x: uniform needs max; its keys are max, min": {"distribution": "uniform", "min": 1},
    "x: min='1e-4' is no number; YAML writes one as 1.0e-4": {"min": "1e-4", "max": 1},
    "x: min=2, max=1; give two in order": {"min": 2, "max": 1},
    "above 0 for logarithms": {"distribution": "log_uniform_values", "min": 0, "max": 1},
    "x: int_uniform needs whole numbers": {"distribution": "int_uniform", "min": 0.5, "max": 1},
    "x: sigma=0; give more than 0": {"distribution": "normal", "sigma": 0},
    "x: probabilities=[1]; give one": {"values": [1, 2], "probabilities": [1]},
    "x: nested parameters are not run here; write x.KEY": {"parameters": {"y": {"value": 1}}},
    "parameters: x is 3; write x: {value: 3}": 3,
}


@pytest.mark.parametrize("message", PARAMETER)
def test_wrong_parameters_are_refused(message, own):
    with pytest.raises(UserError, match="^own.yaml: .*" + re.escape(message)):
        own(method="random", run_cap=2, parameters={"x": PARAMETER[message]})


CONTENT = {
    "method=bayes is not done here; use grid or random, or run the file by W&B itself": {
        "method": "bayes"
    },
    "method=None is not done here": {"method": None},
    "early_terminate is not done here; leave it out, or run the file": {
        "early_terminate": {"type": "x"}
    },
    "controller is not done here; leave it out, or run the file by W&B itself, `wandb sweep`": {
        "controller": {"type": "local"}
    },
    "metric.target is not done here": {"metric": {"name": "val/miou", "target": 1}},
    "method=random draws without end; add run_cap": {"method": "random"},
    "run_cap=0; give a whole number": {"run_cap": 0},
    "parameters={}; name at least one": {"parameters": {}},
    "a grid cannot hold uniform; give its values": {"parameters": {"x": {"min": 0.5, "max": 1}}},
    "add --logs=logs/ablation/own/${envvar:DATA} to command": {"command": ["${args}"]},
    "${args_json_file} is not done here": {"command": [*COMMAND, "${args_json_file}"]},
    "two runs are both own, seed 1": {"parameters": {"seed_everything": {"values": [1, 1]}}},
    "two runs are both a, seed 0; give each setting its own name": {
        "parameters": {"config": {"values": [{"name": "a"}, {"name": "a", "model": {}}]}}
    },
    "name='a/b': it names a folder": {"parameters": {"name": {"values": ["a/b"]}}},
    "name=1; put it in quotes": {"parameters": {"config": {"values": [{"name": 1}]}}},
    "seed_everything=-1; give whole": {"parameters": {"seed_everything": {"value": -1}}},
    "seed_everything=True; give whole": {"parameters": {"seed_everything": {"value": True}}},
}


@pytest.mark.parametrize("message", CONTENT)
def test_wrong_sweeps_are_refused(message, own):
    with pytest.raises(UserError, match="^own.yaml: .*" + re.escape(message)):
        own(**CONTENT[message])


def test_a_name_for_two_settings_is_refused_even_if_no_seed_meets(own):
    pair = {"config": {"values": [{"name": "a"}, {"name": "a", "model": {}}]}}
    seeds = {"seed_everything": {"min": 0, "max": 10**9}}
    with pytest.raises(UserError, match="two runs are both a, seed"):
        own(method="random", run_cap=9, parameters={**pair, **seeds})


def error(capsys, *words: str) -> str:
    """The one line that a refused command gets."""
    with pytest.raises(SystemExit) as end:
        main([*words])
    assert end.value.code in (1, 2)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("error: ").strip()


def test_wrong_names_and_files_get_one_line(own, capsys, monkeypatch):
    own()
    line = error(capsys, "list", "own.yaml", "--data=cards")
    assert line == "data=cards: of_cards.yaml is missing; known are games, toys"
    Path("own.yaml").write_text("name: [\n")
    assert error(capsys, "list", "own.yaml").startswith("own.yaml: while parsing")
    Path("own.yaml").write_text("- grid")
    assert "own.yaml: no keys" in error(capsys, "run", "own.yaml")
    assert error(capsys, "run", "own.yaml", "--gpus=1.5").startswith("argument --gpus: ")
    monkeypatch.chdir(ROOT)
    names = ", ".join(path.stem for path in SWEEPS)
    line = error(capsys, "report", "tabel1")
    assert line.endswith(f"no such sweep; give a file, or one of configs/sweeps: {names}")


def test_the_list_can_be_pasted_and_counts_the_cost(own, capsys):
    sweep = own(parameters={"config": {"values": [{"name": "it's"}, {"name": "b c"}]}})
    first, second = sweep.runs
    main(["list", "own.yaml", "--data=toys"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# own on toys: 2 settings, 2 runs (2 to do)"
    assert lines[1] == "# cost: unknown until one has run"
    assert lines[2] == "# it's, seed 0: to do"
    assert [shlex.split(line, comments=True) for line in lines[3::2]] == [
        [*first.command],
        [*second.command],
    ]
    assert " \"--config={'name': 'b c'}\" " in lines[5]
    (second.folder / "checkpoints").mkdir(parents=True)
    (second.folder / "checkpoints" / "last.ckpt").write_text("")
    assert shlex.split(describe(sweep).splitlines()[-1]) == [
        *second.command,
        f"--ckpt_path={second.folder}/checkpoints/last.ckpt",
    ]
    assert "# b c, seed 0: half-finished" in describe(sweep)
    (second.folder / "failed.json").write_text('{"reason": "nan", "attempts": 2}')
    assert "# b c, seed 0: failed: nan" in describe(sweep)
    first.folder.mkdir(parents=True)
    (first.folder / "results.json").write_text('{"miou": 0.4321}')
    (first.folder / "costs.json").write_text('{"seconds": 4000}')
    assert "(1 finished, 1 failed)" in describe(sweep)
    assert "# it's, seed 0: finished, mIoU 43.21 %" in describe(sweep)
    assert estimate(sweep.runs) == (
        "1 h 6 min one after the other for the 1 left (by the 1 finished, 1 h 6 min each)"
    )


def test_a_settings_own_time_counts_for_its_other_seeds(own):
    sweep = own(parameters={**OWN["parameters"], "model.network.bins": {"value": [1]}})
    for run, seconds in ((sweep.runs[0], 20), (sweep.runs[2], 60)):
        run.folder.mkdir(parents=True)
        (run.folder / "results.json").write_text('{"miou": null}')
        (run.folder / "costs.json").write_text(json.dumps({"seconds": seconds}))
    assert estimate([sweep.runs[0], sweep.runs[1]]).startswith("20 s one after the other")
    assert estimate(sweep.runs).startswith("1 min 20 s one after the other for the 2 left")
    assert estimate(sweep.runs[:3]).startswith("20 s one after the other for the 1 left (by the 2")
    assert estimate([sweep.runs[0]]) == "nothing is left"
