"""The list of runs: commands that a shell takes, states, and what is left to pay."""

import json
import shlex
import zipfile

from own_sweep import OWN

from pspnet.tools.ablation.__main__ import main
from pspnet.tools.ablation.list_runs import estimate, list_runs


def test_the_list_can_be_pasted_and_counts_the_cost(own, capsys):
    sweep = own(parameters={"config": {"values": [{"name": "it's"}, {"name": "b c"}]}})
    first, second = sweep.runs
    main(["list", "own.yaml", "--data=toys"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# own on toys: 2 settings, 2 runs (2 not run)"
    assert lines[1] == "# cost: unknown until one has run"
    assert lines[2] == "# it's, seed 0: not run"
    assert [shlex.split(line, comments=True) for line in lines[3::2]] == [
        [*first.command],
        [*second.command],
    ]
    assert " \"--config={'name': 'b c'}\" " in lines[5]
    (second.folder / "checkpoints").mkdir(parents=True)
    with zipfile.ZipFile(second.folder / "checkpoints" / "last.ckpt", "w") as file:
        file.writestr("weights", "")
    assert shlex.split(list_runs(sweep).splitlines()[-1]) == [
        *second.command,
        f"--ckpt_path={second.folder}/checkpoints/last.ckpt",
    ]
    assert "# b c, seed 0: unfinished" in list_runs(sweep)
    (second.folder / "failed.json").write_text('{"reason": "nan", "attempts": 2}')
    assert "# b c, seed 0: failed: nan" in list_runs(sweep)
    first.folder.mkdir(parents=True)
    (first.folder / "results.json").write_text('{"miou": 0.4321}')
    (first.folder / "costs.json").write_text('{"seconds": 4000}')
    assert "(1 finished, 1 failed)" in list_runs(sweep)
    assert "# it's, seed 0: finished, mIoU 43.21 %" in list_runs(sweep)
    assert estimate(sweep.runs) == (
        "1 h 6 min one after the other for the 1 left (1 h 6 min each, from the 1 finished)"
    )


def test_a_settings_own_time_counts_for_its_other_seeds(own):
    sweep = own(parameters={**OWN["parameters"], "model.network.bins": {"value": [1]}})
    for run, seconds in ((sweep.runs[0], 20), (sweep.runs[2], 60)):
        run.folder.mkdir(parents=True)
        (run.folder / "results.json").write_text('{"miou": null}')
        (run.folder / "costs.json").write_text(json.dumps({"seconds": seconds}))
    assert estimate([sweep.runs[0], sweep.runs[1]]).startswith("20 s one after the other")
    assert estimate(sweep.runs).startswith("1 min 20 s one after the other for the 2 left")
    assert estimate(sweep.runs[:3]).startswith("20 s one after the other for the 1 left (40 s each")
    assert estimate([sweep.runs[0]]) == "nothing is left"
