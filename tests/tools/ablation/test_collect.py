"""Runs on disk: their states, seeds and order, and files that cannot be read."""

from pathlib import Path

import pytest
from fake_runs import costs, put, results

from pspnet.errors import UserError
from pspnet.tools.ablation.collect import collect, disagreements
from pspnet.tools.ablation.report_text import report_text
from pspnet.tools.ablation.statistics.paired import Summary
from pspnet.tools.ablation.tables import main_table


def test_states_scores_and_costs(tmp_path):
    row = tmp_path / "B1"
    put(row / "seed_2", results=results(0.7), costs=costs(3e9))
    put(row / "seed_10", failed={"reason": "CUDA out\nof memory", "attempts": 2})
    put(row / "seed_1", costs=costs())
    put(row / "seed_3", results=results(0.6), failed={"reason": "old", "attempts": 2})
    put(row / "notes")
    (setting,) = collect(tmp_path).settings
    assert [*setting.runs] == [1, 2, 3, 10]
    assert [run.state for run in setting.runs.values()] == [
        *("unfinished", "finished", "finished", "failed"),
    ]
    assert setting.runs[10].reason == "CUDA out of memory"
    assert [setting.count(s) for s in ("finished", "failed", "unfinished")] == [2, 1, 1]
    found = setting.results()[2]
    assert (found.miou, found.pixel_accuracy) == (0.7, 0.85)
    assert dict(found.classes) == pytest.approx(
        {"sky": None, "hill": 0.71, "boat": 0.72, "car": 0.73}
    )
    assert dict(found.groups) == pytest.approx({"stuff": 0.8, "vehicles": 0.6})
    assert [*setting.costs()] == [1, 2]
    cost = setting.costs()[2]
    assert (cost.flops, cost.peak_memory, cost.crop_size) == (3e9, 1.5 * 2**30, "65×193")
    assert (cost.device, cost.threads, cost.peak_memory_of) == ("CPU", 1, "process")


def test_settings_are_in_the_sweeps_order_or_baseline_first(tmp_path):
    for name in ("b", "a", "baseline", "c"):
        put(tmp_path / name / "seed_0", results=results(0.5))
    put(tmp_path / ".hidden" / "seed_0", results=results(0.5))
    put(tmp_path / "pictures")
    (tmp_path / "report.md").touch()
    sweep = collect(tmp_path)
    assert [setting.name for setting in sweep.settings] == ["baseline", "a", "b", "c"]
    assert sweep.notes == ()
    sweep = collect(tmp_path, rows=["c", "absent", "b"])
    assert [(s.name, [*s.runs]) for s in sweep.settings] == [("c", [0]), ("absent", []), ("b", [0])]
    assert sweep.notes == ("on disk but no setting of the sweep, left out: a, baseline",)
    assert sweep.seeds() == [0]


def test_an_agents_runs_have_their_seed_in_the_configuration(tmp_path):
    row = tmp_path / "B1"
    for version, text in enumerate(
        ["seed_everything: 7\n", "seed_everything: true\n", "seed: 3\n", "seed_everything: [\n"]
    ):
        run = put(row / f"version_{version}", results=results(0.5))
        (run / "config.yaml").write_text(f"# lightning.pytorch\n{text}")
    put(row / "version_4", results=results(0.5))
    (put(row / "version_5") / "config.yaml").write_text("seed_everything: 3")
    sweep = collect(tmp_path)
    assert [*sweep.settings[0].runs] == [3, 7]
    assert sweep.notes == tuple(
        f"B1/version_{n} left out: no seed_everything in its config.yaml" for n in (1, 2, 3, 4)
    )


def test_of_one_seed_twice_the_finished_and_then_the_named_run_counts(tmp_path):
    for name, miou in (("version_2", 0.2), ("version_10", 0.1), ("seed_1", None)):
        put(tmp_path / "B1" / name, **({} if miou is None else {"results": results(miou)}))
        (tmp_path / "B1" / name / "config.yaml").write_text("seed_everything: 1")
    sweep = collect(tmp_path)
    assert sweep.settings[0].results()[1].miou == 0.2
    assert sweep.notes == (
        "B1: seed 1 is there twice; version_2 (finished) counts, seed_1 (unfinished) does not",
        "B1: seed 1 is there twice; version_2 (finished) counts, version_10 (finished) does not",
    )
    put(tmp_path / "B1/seed_1", results=results(0.3))
    assert collect(tmp_path).settings[0].results()[1].miou == 0.3


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("results", b'{"miou": 0.5, "iou": {"sky"', "is no JSON"),
        ("results", b"[0.5]", "holds no JSON object"),
        ("results", b"{}", "has no miou"),
        ("results", b'{"miou": NaN}', "miou is nan, no number"),
        ("results", b'{"miou": "high"}', "miou is 'high', no number"),
        ("results", b'{"miou": 0.5, "iou": [0.1]}', "iou is [0.1], no table"),
        ("results", b'{"miou": 0.5, "groups": {"a": "b"}}', "a is 'b', no number"),
        ("results", b'{"miou": 0.5, "inference": 3}', "inference is 3, no table"),
        ("results", b"\xff\xfe\x00", "is no JSON"),
        ("costs", b'{"flops": "many"}', "flops is 'many', no number"),
        ("costs", b"", "is no JSON"),
        ("failed", b"not much", "is no JSON"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, said):
    run = put(tmp_path / "B1/seed_0", costs=costs())
    if name != "results":
        put(run, results=results(0.5))
    if name == "failed":
        (run / "results.json").unlink()
    (run / f"{name}.json").write_bytes(content)
    sweep = collect(tmp_path)
    (note,) = sweep.notes
    assert note.startswith(f"B1/seed_0/{name}.json left out: ")
    assert said in note
    assert "\n" not in note
    read = sweep.settings[0].runs[0]
    assert read.state == ("finished" if name == "costs" else "unfinished")
    assert (read.costs is None) == (name == "costs")


def test_batches_are_no_part_of_the_evaluation(tmp_path):
    for seed, inference in enumerate(({"batch": 1, "mirror": True}, {"batch": 4, "mirror": True})):
        put(tmp_path / f"B1/seed_{seed}", results=results(0.5, inference=inference))
    ways = [found.evaluation for found in collect(tmp_path).settings[0].results().values()]
    assert ways[0] == ways[1]
    assert ways[0]["inference.mirror"] == "True"


def test_results_of_a_bare_minimum(tmp_path):
    put(tmp_path / "B1/seed_0", results={"miou": 0}, costs={})
    (setting,) = collect(tmp_path).settings
    found = setting.results()[0]
    assert (found.miou, found.pixel_accuracy, found.classes, found.groups) == (0, None, {}, {})
    assert setting.costs()[0].flops is None


def test_nothing_there_is_refused_in_one_line(tmp_path):
    put(tmp_path / "table1/scenes/B1/seed_0", results=results(0.5))
    put(tmp_path / "bins/camvid/B1")
    for folder, message in (
        (
            "table9/scenes",
            "no such folder; run the sweep first, or name one of bins on camvid, tab",
        ),
        ("bins/camvid", "holds no run; run the sweep first"),
    ):
        with pytest.raises(UserError, match=message) as error:
            collect(tmp_path / folder, rows=["B1"])
        assert str(error.value).startswith(str(tmp_path / folder))
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"run the sweep first$"):
        collect(Path("absent/sweep/data"))


def test_disagreements_name_what_differs_and_where():
    whole = {"protocol": "whole", "split": "val", "inference.mirror": "False"}
    mirrored = {**whole, "protocol": "paper-ss", "inference.mirror": "True"}
    cut = {**whole, "inference.crop_size": "[473, 473]"}
    assert disagreements({"a": whole, "b": dict(whole)}) == []
    assert disagreements({}) == []
    assert disagreements({"a": whole, "b": mirrored, "c": whole}) == [
        "protocol is whole (a, c), paper-ss (b)"
    ]
    assert disagreements({"a": {**whole, "split": "test"}, "b": cut}) == [
        "split is test (a), val (b)",
        "inference.crop_size is not said (a), [473, 473] (b)",
    ]


def test_the_training_miou_stands_beside_that_of_validation(tmp_path):
    for seed, miou in enumerate((0.8, 0.9)):
        put(tmp_path / f"sweep/toys/a/seed_{seed}", results=results(0.5, train_miou=miou))
    put(tmp_path / "sweep/toys/b/seed_0", results=results(0.5))  # of an earlier version
    found = collect(tmp_path / "sweep/toys")
    rows = main_table(found, paper={}, seeds=[0, 1])
    assert rows[0].train == Summary(pytest.approx(85), pytest.approx(50**0.5), 2)
    assert rows[1].train is None
    text = report_text(found, rows, groups={}, classes={}, title="", seeds=[0, 1], figures={})
    assert "| train mIoU, % |" in text
    assert "| 85.00 ± 7.07 |" in text
