"""Figures and tables are drawn again from the files of a run alone."""

import json
import re

import numpy as np
import pytest

from pspnet.__main__ import main
from pspnet.callbacks.results_file import as_text, plain_matrix, read_matrix, read_results
from pspnet.tools import plot

NAMES = ("sky", "50 % gray_car", "tree & bush")
COUNTS = np.array([[90, 10, 0], [5, 45, 0], [0, 0, 0]])
LOG = "step,train/loss,val/miou,lr-SGD/new\n10,2,,0.1\n20,1,0.5,0.05\n"


def results(**changes):
    whole = COUNTS.sum(0) + COUNTS.sum(1) - COUNTS.diagonal()
    iou = [n / m if m else None for n, m in zip(COUNTS.diagonal(), whole.tolist(), strict=True)]
    scores = {"split": "val", "protocol": "whole", "miou": (iou[0] + iou[1]) / 2}
    look = {"colors": dict.fromkeys(NAMES, "#0a141e"), "members": {"all": [*NAMES]}}
    found = {**scores, "iou": dict(zip(NAMES, iou, strict=True)), **look}
    return {**found, "confusion": plain_matrix(COUNTS), **changes}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "logs" / "a_run" / "version_0"
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text(LOG)
    (folder / "results.json").write_text(as_text(results()))
    return folder


def refused(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["plot", *map(str, words)])
    assert stopped.value.code
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


def test_every_figure_is_drawn_beside_the_run_and_never_over_another(run, capsys):
    main(["plot", str(run), "--format=svg", "--width=3.5", "--latex"])
    written = [run / "plots" / f"{name}.svg" for name in plot.NAMES]
    written.append(run / "plots" / "iou_per_class.tex")
    assert capsys.readouterr().out == "".join(f"{path}\n" for path in written)
    assert {*(run / "plots").iterdir()} == {*written}
    width = re.search(r'width="([\d.]+)pt"', written[1].read_text())
    assert float(width[1]) == pytest.approx(3.5 * 72)
    (run / "plots" / "confusion.svg").write_text("mine")
    assert "curves.svg exists; give" in refused([run, "--format=svg"], capsys)
    assert (run / "plots" / "confusion.svg").read_text() == "mine"
    main(["plot", str(run), "--format=svg", "--only", "confusion", "--overwrite"])
    assert "<svg" in (run / "plots" / "confusion.svg").read_text()


def test_the_table_has_every_class_and_the_mean():
    lines = plot.latex_table(results(), title="a_run/version_0").splitlines()
    first, second, absent = (line for line in lines if re.match("sky|50|tree", line))
    assert first == rf"sky & {100 * 90 / 105:.2f} \\"
    assert second == rf"50 \% gray\_car & {100 * 45 / 60:.2f} \\"
    assert absent == r"tree \& bush & -- \\"
    assert rf"mIoU & {100 * results()['miou']:.2f} \\" in lines
    assert [line for line in lines if "rule" in line] == [
        *(r"\toprule", r"\midrule", r"\midrule", r"\bottomrule")
    ]


def test_a_long_table_stands_side_by_side():
    iou = {f"class {index}": index / 100 for index in range(100)}
    text = plot.latex_table({"iou": iou, "miou": 0.5}, title="a")
    assert r"\begin{tabular}{lrlrlr}" in text
    rows = [line for line in text.splitlines() if line.startswith("class ")]
    assert len(rows) == 34
    assert all(line.count("&") == 5 for line in rows)
    assert {*re.findall(r"class \d+", text)} == {*iou}


def test_what_is_missing_is_said_in_one_line(run, tmp_path, capsys):
    assert "no such folder" in refused([tmp_path / "nothing"], capsys)
    assert "has neither metrics.csv nor results.json" in refused([tmp_path / "logs"], capsys)
    old = {key: value for key, value in results().items() if key not in ("confusion", "colors")}
    (run / "results.json").write_text(json.dumps(old))
    wanted = refused([run, "--only", "confusion"], capsys)
    assert "no confusion matrix, as those of earlier versions; evaluate again" in wanted
    main(["plot", str(run), "--format=svg"])
    said = capsys.readouterr()
    assert [line.rpartition("/")[2] for line in said.out.split()] == [
        "curves.svg",
        "iou_per_class.svg",
    ]
    assert said.err.startswith("note: no confusion: ")
    (run / "metrics.csv").unlink()
    assert "has no metrics.csv" in refused([run, "--only", "curves"], capsys)
    (run / "results.json").write_text("{}")
    assert "holds no IoU of classes" in refused([run, "--only", "confusion"], capsys)


@pytest.mark.parametrize("matrix", [[[1, 2], [3, 4]], [[1], [2, 3]], "x", None])
def test_a_damaged_matrix_is_refused(run, matrix, capsys):
    (run / "results.json").write_text(json.dumps(results(confusion=matrix)))
    assert "confusion is no matrix of 3 classes" in refused([run, "--only", "confusion"], capsys)


def test_a_matrix_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "results.json"
    weighted = np.random.default_rng(0).random((3, 3)) * 1e9
    for matrix in (COUNTS, weighted):
        text = as_text(results(confusion=plain_matrix(matrix)))
        path.write_text(text)
        np.testing.assert_allclose(read_matrix(read_results(path), path=path), matrix, rtol=1e-8)
        assert text.count("\n    [") == 3  # a row per line
    many = np.full((150, 150), 12345)
    assert len(as_text({"confusion": plain_matrix(many)})) < 150_000
