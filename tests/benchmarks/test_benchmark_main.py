"""The entry point: small runs of every section, and wrong options."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as entry
from benchmarks import compare, machine, peak_memory
from benchmarks.__main__ import main
from benchmarks.plan import FULL, PAPER_BINS, QUICK, SECTIONS, Growth
from benchmarks.sections import augmentation

SMALL = ("--encoder", "tu-regnetx_002", "--size", "33", "--batch", "2", "--rounds", "2")
MATCHED = "published, float32, channels last"
STEPS = ["ours", "ours, recompute", "published", MATCHED, "smp.PSPNet, another network"]
PASSES = ["ours", "published", MATCHED, "smp.PSPNet, another network"]


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Shrink images and matrices, time single calls, and start no processes for memory."""
    plan = replace(
        QUICK,
        image=(60, 80),
        evaluated=(40, 60),
        growth=Growth((2,), (33,), (7,), (PAPER_BINS, ())),
        stored=(50, 60),
        images=5,
        workers=(0, 1),
    )
    monkeypatch.setattr(entry, "QUICK", plan)
    monkeypatch.setattr(augmentation, "IMAGES", 2)
    monkeypatch.setattr(compare, "SHORTEST", 0.0)
    monkeypatch.setattr(machine, "MATRIX_SIDES", {"cpu": 64})
    monkeypatch.setattr(peak_memory, "peak", lambda build, **_: 3 * 2**20)
    monkeypatch.chdir(tmp_path)


def results(folder: Path) -> dict[str, list[str]]:
    """Return the variants of each section and case; check that the report has them all."""
    content = json.loads((folder / "results.json").read_text())
    report = (folder / "report.md").read_text()
    assert content["machine"]["threads"] == 1
    assert (folder / "ratios.png").read_bytes().startswith(b"\x89PNG")
    found: dict[str, list[str]] = {}
    for row in content["rows"]:
        found.setdefault(f"{row['section']}: {row['case']}", []).append(row["variant"])
        assert f"| {row['case']} | {row['variant']} |" in report
        assert row["seconds"] is None or row["seconds"]["median"] > 0
    return found


def run(*options: str) -> None:
    main([*SMALL, "--threads", "1", "--device", "cpu", "--precision", "32-true", *options])


@pytest.mark.slow
def test_networks_beside_each_other(capsys, tmp_path):
    run("--only", "inference", "step", "--classes", "3", "--out", "runs")
    tasks = {
        f"{task}: tu-regnetx_002, 33×33, 3 classes, batch 2": variants
        for task, variants in (("training step", STEPS), ("inference", PASSES))
    }
    assert results(tmp_path / "runs") == tasks
    content = json.loads((tmp_path / "runs/results.json").read_text())
    for row in content["rows"]:
        assert row["seconds"]["rounds"] == 2
        assert row["memory"] == 3 * 2**20
        assert (row["flops"] > 0, row["utilization"] > 0, row["images"]) == (True, True, 2)
        assert (row["remark"] == "") == (row["variant"] != "smp.PSPNet, another network")
    ours, again, published = (row["flops"] for row in content["rows"][:3])
    assert ours == again < published  # which concatenates
    out = capsys.readouterr().out
    assert "runs/report.md" in out.splitlines()[-1]
    assert len(out.splitlines()) == len(content["rows"]) + 2


@pytest.mark.slow
def test_pipelines_beside_each_other(tmp_path):
    run("--only", "augmentation", "epoch", "--classes", "3")
    found = results(tmp_path / "logs/bench/0")
    assert list(found.values()) == [
        [
            "ours",
            "ours, normalized",
            "published order, OpenCV",
            "published order, albumentations",
        ],
        *2
        * [
            ["ours", "ours, cached", "published pipeline"],
            ["ours", "ours, cached", "published pipeline, our network", "published"],
        ],
    ]
    text = (tmp_path / "logs/bench/0/results.json").read_text()
    assert {row["images"] for row in json.loads(text)["rows"]} == {1, 4}  # of 5 in batches of 2


@pytest.mark.slow
def test_evaluation_and_growth(tmp_path):
    run("--only", "growth", "evaluation", "--classes", "3", "--rounds", "1", "--out", "grown")
    found = results(tmp_path / "grown")
    sections = [name.partition(":")[0] for name in found]
    growth = [
        f"training step by {name}" for name in ("batch", "size", *["classes"] * 2, *["bins"] * 2)
    ]
    assert sections == ["multi-scale evaluation", "metric", *growth]
    assert found["metric: tu-regnetx_002, 60×40, 3 classes, float32"] == ["ours", "its metric"]
    *others, last = [name for name in found if "by" in name]
    assert last.endswith("tu-regnetx_002, 33×33, 3 classes, batch 2, bins []")
    assert all(found[name] == STEPS[:4] for name in (*others, last))
    rows = json.loads((tmp_path / "grown/results.json").read_text())["rows"][:3]
    assert rows[0]["remark"] == ""
    for row in rows[1:]:
        differing, total = (row["remark"].split()[place] for place in (0, 2))
        assert total == "2,400"
        assert int(differing) <= 24


def test_what_reliability_costs_beside_a_step(tmp_path):
    run("--only", "reliability", "--classes", "3", "--rounds", "1", "--out", "runs")
    rows = json.loads((tmp_path / "runs/results.json").read_text())["rows"]
    variants = ["training step", "mean of the loss over the step", "checkpoint, verified"]
    assert [row["variant"] for row in rows] == variants
    assert all(row["time_ratio"]["median"] > 0 for row in rows)
    assert not (tmp_path / "runs/ratios.png").exists()  # shares of a step are no rivals


@pytest.mark.slow
def test_the_quick_form_measures_memory_of_many_classes_alone(tmp_path):
    run("--only", "step", "--out", "a")
    rows = json.loads((tmp_path / "a/results.json").read_text())["rows"]
    assert [bool(row["seconds"]) for row in rows] == [True] * 5 + [False] * 4
    assert "150 classes" in rows[5]["case"]
    assert {row["memory"] for row in rows} == {3 * 2**20}


def test_runs_have_folders_of_their_own(tmp_path, capsys):
    for _ in range(2):
        run("--only", "augmentation")
    assert sorted(path.name for path in (tmp_path / "logs/bench").iterdir()) == ["0", "1"]
    before = (tmp_path / "logs/bench/0/report.md").read_bytes()
    assert refusal(capsys, "--out", "logs/bench/0") == "logs/bench/0 exists; name another file"
    assert (tmp_path / "logs/bench/0/report.md").read_bytes() == before


def refusal(capsys, *words: str, code: int = 1) -> str:
    """Return the one line that refuses a run."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main([*words])
    out, err = capsys.readouterr()
    assert (stopped.value.code, out) == (code, "")
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    return err.removeprefix("error: ").strip()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--size", "470"], 1, "size=470: the published formulation takes 8n + 1 pixels"),
        (["--size", "25"], 1, "size=25"),
        (["--encoder", "resnet5"], 1, "resnet5"),
        (["--out", "no/such/place"], 1, "no/such: no such folder"),
        (["--rounds", "0"], 2, "0: give a whole number, 1 or more"),
        (["--classes", "many"], 2, "many: give a whole number"),
        (["--only", "walk"], 2, "invalid choice: 'walk'"),
        (["--precision", "8"], 2, "invalid choice: '8'"),
        (["--device", "meta"], 2, "meta: give cpu or cuda"),
        (["--device", "nothing"], 2, "give cpu or cuda"),
    ],
)
def test_wrong_values_are_refused_in_one_line(capsys, tmp_path, words, code, message):
    assert message in refusal(capsys, *words, code=code)
    assert not list(tmp_path.iterdir())


def test_the_full_form_has_every_section():
    assert FULL.sections == SECTIONS == tuple(entry.COMPARISONS)
    FULL.check()


@pytest.mark.slow
def test_forms_beside_each_other(tmp_path):
    run("--only", "forms", "--classes", "3", "--rounds", "1", "--precision", "bf16-mixed")
    found = results(tmp_path / "logs/bench/0")
    assert list(found.values()) == 2 * [["ours", "channels first", "float32", "compiled"]]


def test_minutes_begin_with_the_first_of_each_section(monkeypatch, tmp_path, capsys):
    begun: list[str] = []
    clock = iter(range(0, 600, 20))

    def compared(settings: compare.Settings, comparison: compare.Comparison) -> list[compare.Row]:
        begun.append(f"{comparison.section} {comparison.case}")
        assert settings.longest == 60 / 20
        return [compare.Row(comparison.section, comparison.case, "ours")]

    def sections(name: str, cases: int):
        return lambda plan: (compare.Comparison(name, str(n), ()) for n in range(cases))

    monkeypatch.setattr(entry, "compare", compared)
    monkeypatch.setattr(entry.time, "monotonic", lambda: next(clock))
    for name, cases in (("step", 3), ("inference", 1), ("augmentation", 2)):
        monkeypatch.setitem(entry.COMPARISONS, name, sections(name, cases))
    run("--minutes", "1", "--only", "step", "inference", "augmentation", "--out", "a")
    assert begun == ["step 0", "inference 0"]
    assert "## Inference" in (tmp_path / "a/report.md").read_text()
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "4 comparisons not begun in 1 minutes: augmentation, step"
