"""A look at the files before the first step: silent faults end a run, in each of its processes."""

import pickle
import re
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from shapes import paint

from pspnet.data import FileLists, Folder
from pspnet.data.announcement import check_hint
from pspnet.data.datamodule import SegmentationData
from pspnet.data.facts import quick
from pspnet.errors import Findings, UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return paint(tmp_path / "data", count=6)


def build(root: Path, **values: bool) -> SegmentationData:
    return SegmentationData(Folder(root), crop_size=16, batch_size=2, workers=0, **values)


def rewrite(mask: Path, values: list[int]) -> None:
    pixels = np.asarray(Image.open(mask))
    Image.fromarray(np.array([*values, *[255] * 256], np.uint8)[pixels]).save(mask)


def test_nothing_is_found_in_what_is_right(
    root: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    build(root).setup("fit")
    assert re.search(r"check: all 6 images read in \d+\.\d s, nothing found", caplog.text)
    assert "warning" not in capsys.readouterr().err


def test_one_wrong_pixel_in_val_ends_a_run_before_its_first_step(root: Path) -> None:
    mask = root / "masks" / "05.png"
    pixels = np.array(Image.open(mask))
    pixels[0, 0] = 7
    Image.fromarray(pixels).save(mask)
    with pytest.raises(UserError, match=r"05\.png holds the label values 7"):
        build(root).setup("fit")
    build(root, check=False).setup("fit")


def test_all_errors_are_printed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("01", "03"):
        (root / "images" / f"{name}.png").write_bytes(b"none")
    with pytest.raises(Findings) as raised:
        build(root).setup("fit")
    said = f"{raised.value.lines[0]} {capsys.readouterr().err}"
    assert [f"{name}.png cannot be read" in said for name in ("01", "02", "03")] == [
        *(True, False, True)
    ]


@pytest.mark.parametrize("fault", ["label", "mask"])
def test_a_wrong_file_names_the_command_that_lists_all(root: Path, fault: str) -> None:
    command = f"; python -m pspnet check {root} lists all wrong files"
    if fault == "mask":
        (root / "masks" / "05.png").unlink()
        with pytest.raises(Findings) as raised:
            build(root).setup("fit")
    else:
        rewrite(root / "masks" / "05.png", [0, 1, 7])
        data = build(root, check=False)
        data.setup("fit")
        loaders = data.val_dataloader(), data.train_dataloader()
        with pytest.raises(UserError) as raised:
            [*chain(*loaders)]
    assert str(raised.value).endswith(command)
    assert pickle.loads(pickle.dumps(raised.value)).args == raised.value.args


def test_the_command_takes_the_options_of_data_where_a_folder_alone_is_read_otherwise(
    root: Path,
) -> None:
    assert f"check {root} lists" in check_hint(Folder(root))
    assert "check with the same options of data lists" in check_hint(FileLists(root))
    assert "check with the same options of data lists" in check_hint(Folder(root / "absent"))


@pytest.mark.parametrize("refuted", [False, True])
def test_masks_of_0_and_255_are_read_on_until_one_has_another_value(
    root: Path, refuted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "classes.yaml").write_text("names: [ground, crack]\n")
    for mask in (root / "masks").iterdir():
        rewrite(mask, [0, 255, 0])
    train, val = (Folder(root).samples(split) for split in ("train", "val"))
    if refuted:
        assert train[2].label is not None
        rewrite(train[2].label, [1])
    monkeypatch.setattr(quick, "BUDGET", 0)
    monkeypatch.setattr(quick, "LEAST", 1)
    line, findings = quick.quick_check(Folder(root), train, val)
    assert [it.level for it in findings] == ([] if refuted else ["error"])
    assert refuted or "values: {0: ground, 255: crack}" in findings[0].text
    assert line.startswith("check: ")


def test_half_a_turn_of_an_image_alone_is_a_warning(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = Image.open(root / "images" / "00.png")
    exif = Image.Exif()
    exif[0x0112] = 3
    image.save(root / "images" / "00.png", exif=exif)
    build(root).setup("fit")
    assert re.search(r"warning: .*00\.png is turned by its EXIF", capsys.readouterr().err)


def test_other_processes_raise_what_the_first_found(root: Path) -> None:
    (root / "images" / "01.png").write_bytes(b"none")
    told: list[object] = []

    def broadcast(result: object) -> object:
        told.append(result)
        return told[0]

    for rank in (0, 1):
        data = build(root)
        data.trainer = SimpleNamespace(
            world_size=2,
            global_rank=rank,
            accumulate_grad_batches=1,
            callbacks=(),
            strategy=SimpleNamespace(broadcast=broadcast),
        )
        with pytest.raises(UserError, match=r"01\.png cannot be read as an image"):
            data.setup("fit")
    assert told[1] is None


def test_each_beginning_is_spread_over_both_splits(tmp_path: Path) -> None:
    source = Folder(paint(tmp_path / "data", count=12))
    order = [*quick._alternating(source.samples("train"), source.samples("val"))]
    assert [sample.name for _, sample in order[:4]] == ["08", "00", "10", "04"]
    assert sorted(sample.name for _, sample in order) == [f"{k:02}" for k in range(12)]


def test_masks_of_0_and_255_are_a_warning_where_others_were_not_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "classes.yaml").write_text("names: [ground, crack]\n")
    for mask in (root / "masks").iterdir():
        rewrite(mask, [0, 255, 0])
    train, val = (Folder(root).samples(split) for split in ("train", "val"))
    for name, value in (("BUDGET", 0), ("LEAST", 1), ("LONGEST", 0)):
        monkeypatch.setattr(quick, name, value)
    line, findings = quick.quick_check(Folder(root), train, val)
    assert [it.level for it in findings] == ["warning"]
    assert "(pspnet check reads all)" in line


def test_white_that_is_the_color_of_a_class_is_no_suspicion(root: Path) -> None:
    lines = ("names: [ground, crack, sign]", "colors: [[0, 0, 0], [255, 255, 255], [9, 9, 9]]")
    (root / "classes.yaml").write_text("\n".join(lines))
    for mask in (root / "masks").iterdir():
        rewrite(mask, [0, 255, 0])
        Image.open(mask).convert("RGB").save(mask)
    train, val = (Folder(root).samples(split) for split in ("train", "val"))
    assert quick.quick_check(Folder(root), train, val)[1] == []
