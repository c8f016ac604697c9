"""Sweep files: the user's own among them, against W&B's functions; refused files."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from own_sweep import COMMAND
from saved_config import check_values
from wandb_agent import agent_words

from pspnet.cli import main as pspnet
from pspnet.errors import UserError
from pspnet.tools.ablation.__main__ import main
from pspnet.tools.ablation.sweep import Run, grid, load_sweep

ROOT = Path(__file__).parents[3]
SWEEPS = sorted((ROOT / "configs" / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_each_sweep_file_is_valid(path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    content = yaml.safe_load(path.read_text())
    if content.get("method") != "grid":
        pytest.skip("W&B alone runs it")
    sweep = load_sweep(path.stem, data="scenes")
    rows = grid(content["parameters"])
    assert len({run.folder for run in sweep.runs}) == len(rows[: content.get("run_cap")])
    settings = {}
    for run, row in zip(sweep.runs, rows, strict=False):
        words = agent_words(content, row, data="scenes")
        assert words[:2] == ["/usr/bin/env", "python"]
        assert run.command[0] == sys.executable
        assert list(run.command[1 : len(words) - 1]) == words[2:]
        settings.setdefault(run.setting, (run, row))
    for run, row in settings.values():
        check_options(path, run, row, capsys)


def check_options(path: Path, run: Run, row: dict, capsys) -> None:
    """Parse a run's command, and find its values in the configuration."""
    if run.command[1:4] != ("-m", "pspnet", "fit"):
        return  # of another program
    with pytest.raises(SystemExit) as end:
        pspnet([*run.command[3:], "--print_config"])
    said = capsys.readouterr()
    if end.value.code != 0:
        pytest.fail(f"{path}: setting {run.setting}: {said.err.strip()}", pytrace=False)
    config = yaml.safe_load(said.out)
    assert (config["name"], config["seed_everything"]) == (run.setting, run.seed)
    assert Path(config["logs"], config["name"], config["version"]) == run.folder
    check_values(config, row)


def test_a_sweep_with_an_unknown_option_gets_a_clear_message(own, capsys):
    command = ["${interpreter}", "-m", "pspnet", "fit", "--logs=logs/ablation/own/toys", "${args}"]
    (run,) = own(command=command, parameters={"model.lrr": {"value": 1}}).runs
    with pytest.raises(pytest.fail.Exception, match=r"^own.yaml: setting own: error: .*model\.lrr"):
        check_options(Path("own.yaml"), run, {"model.lrr": 1}, capsys)


def test_a_setting_is_everything_but_the_seed(own):
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


def test_run_cap_and_macros_mean_what_wandb_says(own, monkeypatch):
    assert len(own(run_cap=3).runs) == 3
    monkeypatch.setenv("HOUSE", "here")
    command = ["${program}", "${args_no_hyphens}", "--logs=logs/ablation/own/toys"]
    command += ["${envvar:HOUSE}-${envvar:NO_SUCH}"]
    words = own(command=command, parameters={"a": {"value": False}}).runs[0].command
    assert words[:2] == ("pspnet", "a=False")
    assert "here-NO_SUCH" in words


def test_a_grid_is_sorted_and_its_last_parameter_changes_fastest():
    parameters = {"b": {"values": [1, 2]}, "a": {"values": ["x", None]}, "c": {"value": [3]}}
    chosen = [(run["a"], run["b"], run["c"]) for run in grid(parameters)]
    assert chosen == list(itertools.product(["x", None], [1, 2], [[3]]))


CONTENT = {
    "method=random: only grid is run here; `wandb sweep` runs such a file": {"method": "random"},
    "method=None: only grid is run here": {"method": None},
    "early_terminate is not supported here; leave it out, or `wandb sweep`": {
        "early_terminate": {"type": "x"}
    },
    "metric.target is not supported here": {"metric": {"name": "val/miou", "target": 1}},
    "run_cap=0; give an integer": {"run_cap": 0},
    "parameters={}; name at least one": {"parameters": {}},
    "x: only `value` and `values` are run here; `wandb sweep` runs such a file": {
        "parameters": {"x": {"min": 0, "max": 3}}
    },
    "y: only `value` and `values` are run here": {"parameters": {"y": 3}},
    "x: values=[]; give a list": {"parameters": {"x": {"values": []}}},
    "add --logs=logs/ablation/own/${envvar:DATA} to command": {"command": ["${args}"]},
    "${args_json_file} is not supported here": {"command": [*COMMAND, "${args_json_file}"]},
    "two runs are both own, seed 1": {"parameters": {"seed_everything": {"values": [1, 1]}}},
    "two runs are both a, seed 0; give each setting its own name": {
        "parameters": {"config": {"values": [{"name": "a"}, {"name": "a", "model": {}}]}}
    },
    "name='a/b': give the name of one folder": {"parameters": {"name": {"values": ["a/b"]}}},
    "name=1; put it in quotes": {"parameters": {"config": {"values": [{"name": 1}]}}},
    "seed_everything=-1; give integers": {"parameters": {"seed_everything": {"value": -1}}},
    "seed_everything=True; give integers": {"parameters": {"seed_everything": {"value": True}}},
}


@pytest.mark.parametrize("message", CONTENT)
def test_wrong_sweeps_are_refused(message, own):
    with pytest.raises(UserError, match="^own.yaml: .*" + re.escape(message)):
        own(**CONTENT[message])


def error(capsys, *words: str) -> str:
    """Return the one line that a refused command prints."""
    with pytest.raises(SystemExit) as end:
        main([*words])
    assert end.value.code in (1, 2)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("error: ").strip()


def test_wrong_names_and_files_get_one_line(own, capsys):
    own()
    line = error(capsys, "list", "own.yaml", "--data=cards")
    assert line.startswith("own.yaml: data=cards: of_cards.yaml: no such file")
    Path("own.yaml").write_text("name: [\n")
    assert error(capsys, "list", "own.yaml").startswith("own.yaml is no YAML, line 2: ")
    Path("own.yaml").write_text("- grid")
    assert "own.yaml: no sweep" in error(capsys, "run", "own.yaml")
    assert error(capsys, "run", "own.yaml", "--gpus=1.5").startswith("argument --gpus: ")
    assert error(capsys, "report", "tabel1").startswith("tabel1: no such file")


def test_list_and_refusals_need_neither_torch_nor_ray(own):
    own()
    code = """
import sys
from pspnet.tools.ablation.__main__ import main
before = {"torch", "ray", "pandas", "wandb", "scipy"} & {*sys.modules}
main(["list", "own.yaml", "--data=toys"])
try:
    main(["run", "nothing.yaml"])
except SystemExit:
    pass
print({"ray", "pandas", "wandb", "scipy"} & {*sys.modules}, {"torch"} & {*sys.modules} - before)
"""
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == "set() set()"
