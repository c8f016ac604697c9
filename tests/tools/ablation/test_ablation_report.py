"""The report: its numbers against numpy and scipy, its remarks on missing or mixed runs."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from fake_runs import CLASSES, costs, put, results
from PIL import Image
from scipy.stats import ttest_rel

from pspnet.errors import UserError
from pspnet.tools.ablation.paper_results import PAPER
from pspnet.tools.ablation.report import write_report

MIOU = {  # by setting and seed
    "baseline": (0.66, 0.65, 0.665),
    "B1236-AVE-DR": (0.752, 0.748, 0.757),
    "B1-AVE": (0.68, 0.63, 0.67),
}


def sweep(logs: Path, name: str = "table1", *, data: str = "scenes") -> Path:
    """Write three settings with three seeds."""
    folder = logs / name / data
    for row, (setting, scores) in enumerate(MIOU.items()):
        for seed, miou in enumerate(scores):
            cost = costs((2 + row) * 1e9, images_per_second=(10 + row) * (1 + seed))
            put(folder / setting / f"seed_{seed}", results=results(miou), costs=cost)
    return folder


def tables(text: str) -> list[list[dict[str, str]]]:
    """Return every Markdown table's rows by column; a repeated head gets an apostrophe."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE):
        heads, _, *rows = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in block.strip().split("\n")
        ]
        heads = [head + "'" * heads[:place].count(head) for place, head in enumerate(heads)]
        found.append([dict(zip(heads, row, strict=True)) for row in rows])
    return found


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(logs: Path, name: str = "table1", **options: object) -> str:
    path = write_report(logs / name / "scenes", **options)  # type: ignore[arg-type]
    assert path == logs / name / "scenes/report.md"
    return path.read_text("utf-8")


def test_numbers_against_numpy_and_scipy(tmp_path):
    sweep(tmp_path)
    text = write(tmp_path, rows=[*MIOU])
    main, groups, classes = tables(text)
    assert [row["setting"] for row in main] == [*MIOU]  # in the sweep's order, not by score
    x = {name: 100 * np.array(scores) for name, scores in MIOU.items()}
    for row, own in zip(main, x.values(), strict=True):
        assert row["mIoU, %"] == f"{own.mean():.2f} ± {own.std(ddof=1):.2f}"
        half = 50 + own / 2
        assert row["pixel accuracy, %"] == f"{half.mean():.2f} ± {half.std(ddof=1):.2f}"
        assert row["seeds"] == "3"
        if row["setting"] == "baseline":
            assert row["Δ to baseline [95 %]"] == "–"
            continue
        low, high = ttest_rel(own, x["baseline"]).confidence_interval(0.95)
        delta = (own - x["baseline"]).mean()
        assert row["Δ to baseline [95 %]"] == f"{delta:+.2f} [{low:+.2f}, {high:+.2f}]"
    assert [row["mark"] for row in main] == ["", "best", "≈ baseline"]
    assert [row["GFLOP"] for row in main] == ["2.00", "3.00", "4.00"]
    assert [row["images/s"] for row in main] == ["20.00", "22.00", "24.00"]  # medians
    assert {row["memory, GiB"] for row in main} == {"1.50"}
    assert {row["parameters (inference), M"] for row in main} == {"5.32 (4.90)"}
    own, first = x["B1236-AVE-DR"], x["baseline"]
    low, high = ttest_rel(own, first).confidence_interval(0.95)
    assert groups[1]["stuff, %"] == f"{own.mean() + 10:.2f} ± {own.std(ddof=1):.2f}"
    delta = f"{(own - first).mean():+.2f} [{low:+.2f}, {high:+.2f}]"
    assert groups[1]["Δ to baseline [95 %]"] == delta
    assert groups[2]["Δ to baseline [95 %]'"].endswith("] ≈")
    assert [row["IoU, %"] for row in classes] == [*CLASSES]
    assert [*classes[0].values()][1:] == ["–"] * 3  # absent from prediction and target
    assert classes[3]["B1236-AVE-DR"] == f"{own.mean() + 3:.2f} ± {own.std(ddof=1):.2f}"


def test_header_says_what_ran_where_and_how(tmp_path):
    sweep(tmp_path)
    gpu = costs(device="NVIDIA H100", peak_memory_of="device", threads=16, peak_memory=2**33)
    put(tmp_path / "table1/scenes/B1-AVE/seed_2", costs=gpu)
    text = write(tmp_path)
    assert text.startswith(
        "# Ablation table1 on scenes\n\nRuns finished: 9 of 9. Seeds: 0, 1, 2.\n"
    )
    assert "Protocol: whole on val (absent classes: skip).\n" in text
    assert "CPU, threads: 1 (runs: 8); NVIDIA H100, threads: 16 (runs: 1)" in text
    assert f"{9 * 90 / 3600:.2f} hours" in text
    assert "one 65×193 image" in text
    assert "the peak of the process or device" in text or "peak of the device or process" in text
    (row,) = [row for row in tables(text)[0] if row["setting"] == "B1-AVE"]
    assert row["memory, GiB"] == "8.00"  # the most of all seeds
    assert row["GFLOP"] == "–"
    assert "not one network: flops is 4000000000 (seed 0, seed 1), 2000000000 (seed 2)" in text


def test_the_papers_figures_stand_beside_ours(tmp_path):
    sweep(tmp_path)
    main = tables(text := write(tmp_path, rows=[*MIOU, "mine"]))[0]
    assert [row["paper: mIoU / accuracy"] for row in main] == [
        *("37.23 / 78.01", "41.68 / 80.04", "40.07 / 79.52", "–"),
    ]
    assert [row["paper's Δ"] for row in main] == ["–", "+4.45", "+2.84", "–"]
    assert "ADE20K" in text
    assert "in table 3" not in text
    main = tables(write(tmp_path, rows=["B1-AVE", "B1236-AVE-DR"]))[0]
    assert [row["paper's Δ"] for row in main] == ["–", "+1.61"]  # to our first row, as ours
    sweep(tmp_path, "bins")
    text = write(tmp_path, "bins")
    assert "paper" not in text
    put(tmp_path / "table4/scenes/multi-scale/seed_0", results=results(0.5))
    assert "ResNet50 in table 3" in write(tmp_path, "table4")


def test_the_papers_tables_agree_with_its_text():
    def step(table: str, one: str, two: str) -> tuple[float, float]:
        a, b = PAPER[table][one], PAPER[table][two]
        return round(b.miou - a.miou, 2), round(b.accuracy - a.accuracy, 2)

    # section 5.2 states these differences
    assert step("table1", "baseline", "B1236-AVE-DR") == (4.45, 2.03)
    assert step("table2", "none", "0.4") == (1.41, 0.94)
    assert step("table4", "plain", "augmentation") == (1.54, 0.72)
    assert step("table4", "augmentation", "auxiliary") == (1.41, 0.94)
    assert step("table4", "auxiliary", "pyramid") == (4.45, 2.03)
    sums = [
        [round(sum(column), 2) for column in zip(*t.values(), strict=True)] for t in PAPER.values()
    ]
    assert sums[:3] == [[281.04, 556.06], [184.14, 388.66], [170.07, 322.36]]  # added by hand
    shallow, deep = PAPER["table3"]["50"], PAPER["table3"]["269"]
    assert (sum(shallow) / 2, sum(deep) / 2) == pytest.approx((60.86, 62.35), abs=0.006)
    assert PAPER["table1"]["B1236-AVE-DR"] == shallow == PAPER["table4"]["pyramid"]


def test_csv_values_are_markdowns(tmp_path):
    sweep(tmp_path)
    put(tmp_path / "table1/scenes/B1-AVE/seed_3", failed={"reason": "a|b, <nan>", "attempts": 2})
    main, groups, classes = tables(write(tmp_path, rows=[*MIOU, "none"]))
    for shown, row in zip(main, read(tmp_path / "table1/scenes/report.csv"), strict=True):
        assert shown["setting"] == row["setting"]
        pairs = {
            "mIoU, %": ("miou", "miou_deviation"),
            "pixel accuracy, %": ("pixel_accuracy", "pixel_accuracy_deviation"),
            "Δ to baseline [95 %]": ("difference", "difference_low", "difference_high"),
            "paper's Δ": ("paper_difference",),
            "paper: mIoU / accuracy": ("paper_miou", "paper_pixel_accuracy"),
            "parameters (inference), M": ("parameters_m", "parameters_inference_m"),
            "GFLOP": ("gflop",),
            "memory, GiB": ("memory_gib",),
            "images/s": ("images_per_second",),
            "seeds": ("seeds",),
        }
        for head, keys in pairs.items():
            assert numbers(shown[head]) == [round(float(row[key]), 2) for key in keys if row[key]]
        assert (shown["mark"], shown["remarks"].replace("\\", "")) == (row["mark"], row["remarks"])
    both = read(tmp_path / "table1/scenes/classes.csv")
    cells = {(row["kind"], row["name"], row["setting"]): row for row in both}
    assert len(cells) == len(both) == (2 + 4) * 4
    for line in classes:
        for setting in MIOU:
            row = cells["class", line["IoU, %"], setting]
            expected = [round(float(row[key]), 2) for key in ("iou", "iou_deviation") if row[key]]
            assert numbers(line[setting]) == expected
    for line in groups[1:3]:
        row = cells["group", "stuff", line["setting"]]
        keys = ("difference", "difference_low", "difference_high")
        delta = line["Δ to baseline [95 %]"].removesuffix("≈")
        assert numbers(delta) == [round(float(row[key]), 2) for key in keys]


def numbers(cell: str) -> list[float]:
    return [float(x) for x in re.findall(r"[-+]?\d+(?:\.\d+)?", cell.replace("95 %", ""))]


def test_partial_sweeps_say_what_is_missing(tmp_path):
    folder = sweep(tmp_path)
    (folder / "B1-AVE/seed_1/results.json").unlink()
    put(folder / "B1-AVE/seed_1", failed={"reason": "loss is nan", "attempts": 2})
    (folder / "B1-AVE/seed_2/results.json").write_text('{"miou": 0.')
    (folder / "B1236-AVE-DR/seed_1/results.json").unlink()
    text = write(tmp_path, rows=[*MIOU, "B1-MAX"], seeds=[0, 1, 2, 3])
    assert (
        "Runs finished: 6 of 16; failed: 1; unfinished: 2; not run: 7. Seeds: 0, 1, 2, 3." in text
    )
    main = {row["setting"]: row for row in tables(text)[0]}
    assert main["B1-AVE"]["remarks"] == (
        "seed 1 failed: loss is nan; seed 2 unfinished; seed 3 not run"
    )
    assert main["B1-AVE"]["mIoU, %"] == "68.00"
    assert main["B1-AVE"]["Δ to baseline [95 %]"] == "+2.00 (1 pair, no interval)"
    assert main["B1-AVE"]["mark"] == "not judged"
    assert "`not judged`" in text
    assert main["B1-MAX"]["remarks"] == "not run"
    assert main["B1-MAX"]["mIoU, %"] == "–"
    own, first = np.array([75.2, 75.7]), np.array([66, 66.5])
    expected = f"{(own - first).mean():+.2f} "
    assert main["B1236-AVE-DR"]["Δ to baseline [95 %]"].startswith(expected)
    assert "- B1-AVE/seed_2/results.json left out: is no JSON" in text
    assert (folder / "settings.png").is_file()


def test_a_run_without_miou_is_finished_but_no_score(tmp_path):
    folder = sweep(tmp_path)
    put(folder / "B1-AVE/seed_1", results={**results(0.5), "miou": None})
    text = write(tmp_path, rows=[*MIOU])
    assert "Runs finished: 9 of 9." in text
    row = tables(text)[0][2]
    assert (row["mIoU, %"], row["seeds"]) == ("67.50 ± 0.71", "2")
    assert row["remarks"] == "seed 1 has no mIoU"


def test_fewer_pairs_than_seeds_are_said(tmp_path):
    folder = sweep(tmp_path)
    (folder / "baseline/seed_1/results.json").unlink()
    cell = tables(write(tmp_path, rows=[*MIOU]))[0][1]["Δ to baseline [95 %]"]
    assert cell.endswith("] (2 pairs)")


def test_different_protocols_are_not_averaged(tmp_path):
    folder = sweep(tmp_path)
    put(folder / "B1-AVE/seed_1", results=results(0.9, protocol="paper-ms"))
    text = write(tmp_path, rows=[*MIOU])
    main = {row["setting"]: row for row in tables(text)[0]}
    assert main["B1-AVE"]["mIoU, %"] == main["B1-AVE"]["pixel accuracy, %"] == "–"
    assert main["B1-AVE"]["remarks"] == (
        "not averaged: protocol is whole (seed 0, seed 2), paper-ms (seed 1)"
    )
    assert [row["B1-AVE"] for row in tables(text)[2]] == ["–"] * 4
    assert "Protocol: whole on val (absent classes: skip); paper-ms on val" in text
    for seed in range(3):
        put(folder / f"B1-AVE/seed_{seed}", results=results(0.8, protocol="paper-ms"))
    text = write(tmp_path, rows=[*MIOU])
    assert tables(text)[0][2]["mIoU, %"] == "80.00 ± 0.00"
    assert "protocol is whole (baseline, B1236-AVE-DR), paper-ms (B1-AVE)" in text


def test_one_run_and_none(tmp_path):
    put(tmp_path / "one/scenes/wide/seed_4", results=results(0.7, groups={}))
    text = write(tmp_path, "one")
    (row,) = tables(text)[0]
    assert (row["mIoU, %"], row["mark"], row["GFLOP"]) == ("70.00", "", "–")
    folder = tmp_path / "one/scenes"
    assert (folder / "settings.png").is_file()
    assert not (folder / "pareto.png").exists()  # no costs
    assert "pareto.png" not in text
    assert "by group" not in text
    put(tmp_path / "none/scenes/wide/seed_4")
    text = write(tmp_path, "none")
    assert "Runs finished: 0 of 1; unfinished: 1." in text
    assert sorted(path.name for path in (tmp_path / "none/scenes").iterdir()) == [
        *("report.csv", "report.md", "report.tex", "wide"),
    ]


def test_groups_are_small_multiples(tmp_path):
    put(tmp_path / "one/scenes/wide/seed_0", results=results(0.7))
    put(tmp_path / "one/camvid/wide/seed_0", results=results(0.7, groups={}))
    sizes = []
    for data in ("scenes", "camvid"):
        write_report(tmp_path / "one" / data)
        with Image.open(tmp_path / "one" / data / "settings.png") as image:
            sizes.append(image.size)
    (wide, high), (narrow, low) = sizes
    assert wide == narrow  # a row of panels per score
    assert high > low + 100


def test_many_classes_are_folded_away(tmp_path):
    for count in (25, 26):
        names = tuple(f"class {number}" for number in range(count))
        put(tmp_path / f"many{count}/scenes/a/seed_0", results=results(0.3, classes=names))
    assert "<details>" not in write(tmp_path, "many25")
    text = write(tmp_path, "many26")
    assert "<details><summary>26 classes</summary>\n\n| IoU, % | a |" in text
    assert "|\n\n</details>" in text


def test_names_and_reasons_do_not_break_the_table(tmp_path):
    put(tmp_path / "odd/scenes/a|b/seed_0", failed={"reason": "<class 'int'> | *x*", "attempts": 1})
    text = write(tmp_path, "odd")
    (row,) = tables(text)[0]
    assert row["setting"] == r"a\|b"
    assert row["remarks"] == r"seed 0 failed: \<class 'int'> \| \*x\*"


def test_runs_are_left_as_they_are_and_reports_written_over(tmp_path):
    folder = sweep(tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    first = write(tmp_path)
    names = ["classes.csv", "pareto.png", "report.csv", "report.md", "report.tex", "settings.png"]
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == names
    assert all(path.read_bytes() == content for path, content in before.items())
    assert write(tmp_path) == first
    put(folder / "B1-AVE/seed_3", results=results(0.9))
    assert "Runs finished: 10 of 12; not run: 2." in write(tmp_path)
    assert "Runs finished: 10 of 10. Seeds: 0, 1, 2." in write(tmp_path, seeds=[0, 1, 2])


def test_an_unknown_sweep_is_refused(tmp_path):
    sweep(tmp_path)
    with pytest.raises(UserError, match="table7/scenes: no such folder; run the sweep"):
        write(tmp_path, "table7")
    assert [path.name for path in tmp_path.iterdir()] == ["table1"]


def test_the_latex_table_has_the_numbers_of_the_report(tmp_path):
    sweep(tmp_path)
    main, *_ = tables(write(tmp_path, rows=[*MIOU]))
    lines = (tmp_path / "table1/scenes/report.tex").read_text("utf-8").splitlines()
    rows = [line.removesuffix(r" \\").split(" & ") for line in lines if line.endswith(r"\\")]
    assert rows.pop(0) == [
        *("Setting", r"mIoU, \%", r"$\Delta$ to baseline", r"95\,\% interval", "Mark", "Seeds")
    ]
    for row, expected in zip(rows, main, strict=True):
        name, miou, delta, interval, mark, count = (
            cell.replace(r"$\approx$", "≈").replace(r" \pm ", " ± ").strip("$") for cell in row
        )
        assert (name, miou, count) == (expected["setting"], expected["mIoU, %"], expected["seeds"])
        said = expected["Δ to baseline [95 %]"]
        assert said in (f"{delta} {interval}", "–")
        assert mark == expected["mark"]
    assert lines[1] == r"% needs \usepackage{booktabs}"
