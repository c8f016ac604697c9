"""Sweeps that stop early err no more often than those that do not."""

import numpy as np
import pytest
from fake_runs import put, results

from pspnet.errors import UserError
from pspnet.tools.ablation.__main__ import main, report, run_sweep
from pspnet.tools.ablation.collect import collect
from pspnet.tools.ablation.statistics.paired import LEVEL, paired_difference
from pspnet.tools.ablation.statistics.sequential import FILE, Stopping, decided, nominal_level
from pspnet.tools.ablation.sweep import load_sweep

SETTINGS = {"config": {"values": [{"name": name} for name in "ab"]}}


def scores(values):
    return dict(enumerate(values))


@pytest.mark.parametrize(("difference", "low", "high"), [(0.0, 0.028, 0.072), (3.0, 0.6, 1.0)])
def test_all_looks_together_err_in_5_of_100_sweeps(difference, low, high):
    generator, seeds, zeros = np.random.default_rng(7), range(5), scores([0.0] * 5)
    runs = [
        decided(scores(generator.normal(difference, 1.5, 5)), zeros, seeds=seeds)
        for _ in range(800)
    ]
    assert low < np.mean(runs) < high


def test_the_level_of_a_look():
    assert nominal_level(3) == LEVEL
    # Pocock's for two looks of normal data is 2.94 %; few seeds have a more dependent t
    assert LEVEL / 2 < nominal_level(4) < LEVEL
    assert nominal_level(4) > nominal_level(6) > LEVEL / 4


def test_looks_take_seeds_in_their_order():
    clear = scores([5.0, 5.1, 4.9, 5.0])
    zeros = scores([0.0] * 4)
    assert decided(clear, zeros, seeds=range(4))
    assert not decided({k: clear[k] for k in (0, 2, 3)}, zeros, seeds=range(4))  # 1 is missing
    assert not decided({k: clear[k] for k in (0, 1)}, zeros, seeds=range(4))


def test_runs_that_can_change_nothing_are_not_wanted(own):
    sweep = own(parameters={**SETTINGS, "seed_everything": {"values": [0, 1, 2, 3, 4]}})
    stopping = Stopping(sweep)
    runs = {(run.setting, run.seed): run for run in sweep.runs}
    assert all(map(stopping.wants, sweep.runs))
    for name, base in (("a", 0.5), ("b", 0.6)):
        for seed in range(3):
            put(runs[name, seed].folder, results=results(base + 0.001 * seed * (name == "a")))
    assert not stopping.wants(runs["b", 3])
    assert not stopping.wants(runs["a", 3])  # no comparison needs it
    put(runs["b", 2].folder, results=results(0.4))
    assert stopping.wants(runs["b", 3])
    assert stopping.wants(runs["a", 3])


def test_a_run_that_was_interrupted_and_is_not_needed_is_not_finished(own, monkeypatch, capsys):
    sweep = own(parameters={**SETTINGS, "seed_everything": {"values": [0, 1, 2, 3]}})
    for run in sweep.runs:
        if run.seed < 3:
            put(run.folder, results=results({"a": 0.5, "b": 0.6}[run.setting]))
    put(sweep.folder / "b" / "seed_3")
    started = []
    monkeypatch.setattr(
        "pspnet.tools.ablation.__main__.run_trials",
        lambda runs, *_, wanted, **__: started.extend(filter(wanted, runs)),
    )
    assert run_sweep(sweep, stop_early=True) == 0
    assert not started
    assert "(6 of 8 runs finished, 2 not needed)" in capsys.readouterr().out


def test_reports_of_such_sweeps_have_wider_intervals(own):
    sweep = own(parameters={**SETTINGS, "seed_everything": {"values": [0, 1, 2, 3]}})
    values = {"a": (0.5, 0.51, 0.5), "b": (0.56, 0.55, 0.57)}
    for run in sweep.runs:
        if run.seed < 3:
            put(run.folder, results=results(values[run.setting][run.seed]))
    assert collect(sweep.folder).level == LEVEL
    Stopping(sweep).write()
    a, b = ({s: 100 * v for s, v in enumerate(values[name])} for name in "ab")
    wide = paired_difference(b, a, level=nominal_level(4))
    text = report(sweep).read_text()
    assert f"[{wide.low:+.2f}, {wide.high:+.2f}]" in text
    assert "may stop early: each look takes the level 3.0" in text
    (sweep.folder / FILE).write_text("{")
    with pytest.raises(UserError, match=r"sequential\.json cannot be read"):
        collect(sweep.folder)


def test_sweeps_of_few_seeds_cannot_stop_early(own, capsys):
    own(parameters={**SETTINGS, "seed_everything": {"values": [0, 1, 2]}})
    with pytest.raises(SystemExit):
        main(["run", "own.yaml", "--data=toys", "--stop-early"])
    assert "stop-early: 2 settings of 3 seeds" in capsys.readouterr().err


def test_the_number_of_seeds_is_an_option(own):
    own(parameters=SETTINGS | {"seed_everything": {"values": [7]}})
    sweep = load_sweep("own.yaml", data="toys", seeds=2)
    assert [(run.setting, run.seed) for run in sweep.runs] == [
        *(("a", 0), ("a", 1)),
        *(("b", 0), ("b", 1)),
    ]


@pytest.mark.slow
def test_a_decided_setting_gets_no_more_seeds(fits, capsys):
    seeds = [0, 1, 2, 3, 4, 5]
    fits.file = fits.write(["a", "b"], seeds=seeds)
    for seed in seeds:
        fits.plan("b", "epoch epoch results", seed=seed)
    main(["run", str(fits.file), "--data=toys", "--stop-early", "--cpus=1"])
    ran = [seed for seed in seeds if (fits.run("b", seed=seed) / "results.json").is_file()]
    assert ran in ([0, 1, 2], [0, 1, 2, 3])  # one may have started beside the third
    assert "not needed)" in capsys.readouterr().out
