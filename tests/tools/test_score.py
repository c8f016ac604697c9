"""Scores of files: pairs by name, refusals in one line, the printed table and the JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pspnet.tools.score import main

SIZE = (6, 8)


def put(path: Path, values: object, *, size: tuple[int, int] = SIZE, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.resize(np.asarray(values, np.uint8), size)).convert(mode).save(path)
    return path


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Three predictions with their ground truth: cats predicted as dogs, and one border pixel."""
    for name in "abc":
        put(tmp_path / f"target/{name}.png", [0, 8, 8, 255])
        put(tmp_path / f"predictions/{name}.png", [0, 8, 12, 5])
    return tmp_path


def score(root: Path, *more: str, dataset: str = "voc") -> None:
    main([str(root / "predictions"), str(root / "target"), f"--dataset={dataset}", *more])


def refusal(capsys, root: Path, *more: str, dataset: str = "voc", code: int = 1) -> str:
    """The one line that scoring is refused with."""
    with pytest.raises(SystemExit) as stopped:
        score(root, *more, dataset=dataset)
    out, err = capsys.readouterr()
    assert (stopped.value.code, out) == (code, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_table_line_and_file(voc, capsys):
    score(voc, f"--json={voc / 'scores.json'}")
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "mIoU 50.00 % (voc, 3 images, stored values)"
    assert ["cat", "50.00", "50.00", "66.67"] in [line.split() for line in said]
    results = json.loads((voc / "scores.json").read_text())
    assert results["figures"] == {"mIoU": 0.5}
    assert [results[key] for key in ("dataset", "values", "images", "absent")] == [
        *("voc", "stored", 3, "skip"),
    ]
    assert results["iou"]["background"] == 1
    assert results["iou"]["dog"] == 0
    assert results["iou"]["bus"] is None
    score(voc, "--absent=zero")
    assert capsys.readouterr().out.splitlines()[-1].startswith("mIoU 7.14 %")  # 1.5 of 21


def test_files_in_subfolders_belong_by_name(voc, capsys):
    (voc / "predictions/c.png").rename(put(voc / "predictions/deeper/x.png", 0).with_name("c.png"))
    (voc / "predictions/deeper/x.png").unlink()
    put(voc / "predictions/._a.png", 0)  # as macOS leaves it
    (voc / "predictions/list.txt").touch()
    score(voc)
    assert "mIoU 50.00 % (voc, 3 images" in capsys.readouterr().out


def test_frames_of_cityscapes(tmp_path, capsys):
    for name in ("ulm_000000_000019", "bad-ulm_000001_000020"):
        city = name.split("_")[0]
        put(tmp_path / f"target/{city}/{name}_gtFine_labelIds.png", [7, 26, 0])
        put(tmp_path / f"target/{city}/{name}_gtFine_color.png", 0, mode="RGB")
    put(tmp_path / "predictions/bad-ulm/bad-ulm_000001_000020_leftImg8bit.png", [7, 27, 33])
    put(tmp_path / "predictions/ulm_000000_000019.png", [7, 26, 11])
    score(tmp_path, dataset="cityscapes")
    # road 1, car 1/2, truck 0; flat 1, vehicle 1
    last = "class IoU 50.00 %, category IoU 100.00 % (cityscapes, 2 images, stored values)"
    assert capsys.readouterr().out.splitlines()[-1] == last
    put(tmp_path / "predictions/bad-ulm/bad-ulm_000001_000020_leftImg8bit.png", [0, 14, 18])
    put(tmp_path / "predictions/ulm_000000_000019.png", [0, 13, 2])
    score(tmp_path, "--values=train", dataset="cityscapes")
    assert capsys.readouterr().out.splitlines()[-1] == last.replace("stored", "train")
    other = put(tmp_path / "predictions/a/ulm_000000_000019_b.png", 0)
    line = refusal(capsys, tmp_path, dataset="cityscapes")
    assert str(other) in line
    assert "are both named 'ulm_000000_000019'; keep one" in line
    other.rename(tmp_path / "predictions/ulm.png")
    line = refusal(capsys, tmp_path, dataset="cityscapes")
    assert "ulm.png: no CITY_SEQUENCE_FRAME begins this name" in line


def test_instances_of_cityscapes(tmp_path, capsys):
    """A car of 24 pixels of which half are found, on road."""
    frame = "ulm_000000_000019"
    put(tmp_path / f"target/{frame}_gtFine_labelIds.png", [7, 26])
    instances = np.resize(np.array([7, 26001], np.uint16), SIZE)
    Image.fromarray(instances).save(tmp_path / f"target/{frame}_gtFine_instanceIds.png")
    put(tmp_path / f"predictions/{frame}.png", [7, 26, 7, 28])
    score(tmp_path, "--instances", f"--json={tmp_path / 'scores.json'}", dataset="cityscapes")
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == (
        "class IoU 50.00 %, category IoU 100.00 %, class iIoU 25.00 %, category iIoU 100.00 %"
        " (cityscapes, 1 images, stored values)"
    )
    rows = [line.split() for line in said]
    assert ["car", "50.00"] in rows
    assert ["category", "human", "–"] in rows
    results = json.loads((tmp_path / "scores.json").read_text())
    iou = results["instances"]["classes"]
    assert (iou["car"], iou["bus"], iou["train"]) == (0.5, 0, None)
    assert results["figures"]["class iIoU"] == 0.25
    (tmp_path / f"target/{frame}_gtFine_instanceIds.png").unlink()
    line = refusal(capsys, tmp_path, "--instances", dataset="cityscapes")
    assert "instanceIds.png is missing; --instances needs it beside" in line
    for more in (["--weights=a"], ["--dataset=voc"]):
        line = refusal(capsys, tmp_path, "--instances", *more, dataset="cityscapes", code=2)
        assert "--instances goes with --dataset cityscapes" in line


def test_values_of_ade20k(tmp_path, capsys):
    put(tmp_path / "target/ADE_val_00000001.png", [1, 2, 150, 0])
    put(tmp_path / "predictions/ADE_val_00000001.png", [1, 3, 0, 9])
    score(tmp_path, dataset="ade20k")
    figures = "mIoU 0.67 %, pixel accuracy 33.33 %, mean of both 17.00 %"
    assert capsys.readouterr().out.splitlines()[-1].startswith(figures)
    put(tmp_path / "predictions/ADE_val_00000001.png", [0, 2, 255, 8])
    score(tmp_path, "--values=train", dataset="ade20k")
    assert capsys.readouterr().out.splitlines()[-1].startswith(figures)


@pytest.mark.parametrize(
    ("dataset", "predicted", "noted"),
    [
        ("cityscapes", [[0, 1, 13], [18, 10]], True),
        ("cityscapes", [[0, 1, 13], [18, 10, 19]], False),
        ("cityscapes", [[7, 8], [11, 17]], False),  # classes, all
        ("ade20k", [[0, 149], [8]], True),
        ("ade20k", [[0, 149], [150]], False),
        ("ade20k", [[1, 149], [8]], False),
        ("voc", [[0, 20], [8]], False),
        ("camvid", [[0, 10], [8]], False),
    ],
)
def test_train_ids_in_place_of_stored_values_are_suspected(
    tmp_path, capsys, dataset, predicted, noted
):
    for name, values in zip(("a_0_0", "b_0_0"), predicted, strict=True):
        put(tmp_path / f"target/{name}_gtFine_labelIds.png", 8)
        put(tmp_path / f"predictions/{name}_gtFine_labelIds.png", values)
    score(tmp_path, dataset=dataset)
    span = {"cityscapes": "0 to 18", "ade20k": "0 to 149"}.get(dataset)
    line = f"note: predictions hold {span} only; are they train ids? use --values train\n"
    assert capsys.readouterr().err == (line if noted else "")


def test_declared_train_ids_are_not_suspected(tmp_path, capsys):
    put(tmp_path / "target/a_0_0_gtFine_labelIds.png", 8)
    put(tmp_path / "predictions/a_0_0.png", [0, 1, 255])
    score(tmp_path, "--values=train", dataset="cityscapes")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "lines",
    [["a", "c"], ["JPEGImages/c.jpg SegmentationClass/c.png", "a"], ["a.png", "c.jpg"]],
)
def test_a_list_names_a_subset(voc, capsys, lines):
    (voc / "predictions/b.png").unlink()
    put(voc / "predictions/foreign.png", 77)
    listing = voc / "some.txt"
    listing.write_text("\n".join(lines))
    score(voc, f"--list={listing}")
    assert "(voc, 2 images" in capsys.readouterr().out
    for text, message in (
        ("a\nb\n", "1 of 2 images have no prediction"),
        ("a\nd\n", f"{listing} names 'd', which has no ground truth in"),
        ("a\na\n", f"{listing} names 'a' 2 times"),
        ("z\n", f"{listing} names 'z', which has no ground truth in"),
        ("b\n", f"1 of 1 images have no prediction in {voc / 'predictions'}, first 'b'"),
        ("a\na.png\n", f"{listing} names 'a' 2 times"),
        ("", "names no file"),
    ):
        listing.write_text(text)
        assert message in refusal(capsys, voc, f"--list={listing}")
    line = refusal(capsys, voc, f"--list={voc}")
    assert line == f"error: {voc} is a folder; give a text file with one name per line\n"
    assert "no.txt is missing" in refusal(capsys, voc, f"--list={voc / 'no.txt'}")


def test_files_without_partners_are_refused(voc, capsys):
    spare = put(voc / "predictions/z.png", 0)
    assert f"1 predictions have no ground truth in {voc / 'target'}, first {spare}" in refusal(
        capsys, voc
    )
    spare.unlink()
    (voc / "predictions/b.png").unlink()
    (voc / "predictions/c.png").unlink()
    line = refusal(capsys, voc)
    assert f"2 of 3 images have no prediction in {voc / 'predictions'}, first 'b'" in line
    (voc / "predictions/a.png").unlink()
    assert f"{voc / 'predictions'} holds no file *.png; give another folder" in refusal(capsys, voc)
    (voc / "predictions").rmdir()
    assert f"{voc / 'predictions'}: no such folder" in refusal(capsys, voc)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (255, {}, "b.png holds the label values 255, but 0 to 20 are accepted"),
        (21, {}, "b.png holds the label values 21, but 0 to 20 are accepted"),
        (0, {"mode": "RGB"}, "b.png has pixels of mode RGB where one class index"),
        (0, {"size": (8, 6)}, "b.png is 6×8 pixels, its ground truth"),
    ],
)
def test_files_that_cannot_be_scored_are_refused(voc, capsys, values, options, message):
    put(voc / "predictions/b.png", values, **options)
    before = sorted(voc.rglob("*"))
    assert message in refusal(capsys, voc, f"--json={voc / 'scores.json'}")
    assert sorted(voc.rglob("*")) == before


def test_cut_files_and_wrong_targets_are_refused(voc, capsys):
    put(voc / "target/b.png", 30)
    assert "target/b.png holds the label values 30" in refusal(capsys, voc)
    (voc / "target/b.png").write_bytes((voc / "target/a.png").read_bytes()[:50])
    assert "target/b.png cannot be read" in refusal(capsys, voc)


def test_nothing_is_overwritten(voc, capsys):
    (voc / "mine.json").write_text("mine")
    assert "mine.json exists; name another file" in refusal(
        capsys, voc, f"--json={voc / 'mine.json'}"
    )
    assert (voc / "mine.json").read_text() == "mine"
    assert "no such folder" in refusal(capsys, voc, f"--json={voc / 'no/scores.json'}")


def test_wrong_options_are_refused_before_torch_is_imported(tmp_path):
    """And so are a missing folder and a file that is in the way."""
    code = """
import sys
from pspnet.tools.score import main
for words in (["a", "b", "--dataset=coco"], ["a", "b", "--dataset=voc"], ["--help"]):
    try:
        main(words)
    except SystemExit as stopped:
        print(stopped.code)
assert "torch" not in sys.modules, "torch is imported"
"""
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if line.isdigit()] == ["2", "1", "0"]
    assert done.stderr.splitlines()[1] == "error: b: no such folder; give a folder of label files"


@pytest.mark.parametrize(
    "wrong", ["--dataset=coco", "--values=color", "--absent=one", "--lst=a.txt"]
)
def test_wrong_options_get_one_line(voc, capsys, wrong):
    assert wrong.split("=")[0] in refusal(capsys, voc, wrong, code=2)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Masks of one's own classes at the same paths as predictions: half of the cats are found."""
    (tmp_path / "classes.yaml").write_text("names: [ground, cat]\nignore: [9]\n")
    for name in ("a/1", "b/1"):  # the same names in two folders
        put(tmp_path / f"target/{name}.png", [0, 1, 1, 255, 9])
        put(tmp_path / f"predictions/{name}.png", [0, 1, 0, 1, 0], size=(5, 8))
        put(tmp_path / f"target/{name}.png", [0, 1, 1, 255, 9], size=(5, 8))
    return tmp_path


def score_own(root: Path, *more: str) -> None:
    main([*(str(root / part) for part in ("predictions", "target")), *more])


def test_own_classes_are_scored_by_the_rules_of_their_masks(own, capsys):
    score_own(own, f"--classes={own / 'classes.yaml'}", f"--json={own / 'scores.json'}")
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == f"mIoU 50.00 % ({own / 'classes.yaml'}, 2 images, stored values)"
    assert json.loads((own / "scores.json").read_text())["iou"] == {"ground": 0.5, "cat": 0.5}


def test_what_is_predicted_as_ignored_is_wrong(own, capsys):
    put(own / "predictions/a/1.png", [9, 255, 0, 1, 0], size=(5, 8))
    (own / "list.txt").write_text("a/1\n")
    more = (f"--classes={own / 'classes.yaml'}", f"--list={own / 'list.txt'}")
    score_own(own, *more, f"--json={own / 'scores.json'}")
    assert json.loads((own / "scores.json").read_text())["iou"] == {"ground": 0.0, "cat": 0.0}
    capsys.readouterr()
    with pytest.raises(SystemExit):
        score_own(own, *more, "--values=train")
    assert "holds the label values 9, but 0 to 1 and 255 are accepted" in capsys.readouterr().err


def test_masks_of_own_classes_may_be_of_any_exact_format(own, capsys):
    target = own / "target/a/1.png"
    with Image.open(target) as mask:
        mask.save(target.with_suffix(".TIF"))
    target.unlink()
    (own / "target/c.jpg").touch()
    score_own(own, f"--classes={own / 'classes.yaml'}")
    out, err = capsys.readouterr()
    assert "mIoU 50.00 %" in out
    assert err == f"note: {own / 'target'}: 1 file was not read: 1 .jpg\n"


def test_masks_of_own_classes_may_be_of_colors(own, capsys):
    colors = np.zeros((256, 3), np.uint8)
    colors[[1, 255]] = (200, 0, 0), (255, 255, 255)
    (own / "class_dict.csv").write_text("name,r,g,b\nground,0,0,0\ncat,200,0,0\n")
    for path in (own / "target").rglob("*.png"):
        Image.fromarray(colors[np.resize(np.array([0, 1, 1, 0, 0], np.uint8), (5, 8))]).save(path)
    score_own(own, f"--classes={own / 'class_dict.csv'}", f"--json={own / 'scores.json'}")
    # per 5 pixels: ground found 2 of 3, one of them predicted as cat, and one cat as ground
    assert json.loads((own / "scores.json").read_text())["iou"] == {"ground": 0.5, "cat": 1 / 3}


def test_benchmark_or_own_classes_is_required(own, capsys):
    for more in ([], ["--dataset=voc", "--classes=a.yaml"]):
        with pytest.raises(SystemExit) as stopped:
            score_own(own, *more)
        assert stopped.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err
