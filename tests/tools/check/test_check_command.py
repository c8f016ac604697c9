"""The command: tables and lines on the terminal, check.json, and one page without other files."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from seeded import FAULTS
from shapes import paint

from pspnet.data import Folder
from pspnet.data.datamodule import SegmentationData
from pspnet.tools.check.__main__ import main


class Page(HTMLParser):
    """Collects what a page refers to, and its text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for key, value in attributes if key in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return paint(tmp_path / "some <b> & data", count=12)


def test_a_folder_is_reported(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(root)])
    printed = capsys.readouterr()
    assert re.search(r"^train +8 +8 +8 +64×48 ", printed.out, re.MULTILINE)
    assert re.search(r"12 images read in .* s: 0 errors, 1 warning, 1 note$", printed.out, re.M)
    small, split = printed.err.splitlines()
    assert small == (  # 48 · 64 / 473² = 0.0137
        "warning: train: the median image fills 1% of a crop of 473×473, and the rest is padding,"
        " which is ignored; give data.crop_size=41"
    )
    assert split.startswith("note: no test split")
    folder = Path("logs/check", root.name)
    report = json.loads((folder / "check.json").read_text())
    assert report["splits"]["val"]["images"] == 4
    assert len(report["proposals"]["class_weights"]["median_frequency"]) == 3
    page = Page((folder / "index.html").read_text("utf-8"))
    assert page.text.count(f"Check of {root}Read as Folder.") == 1
    assert page.links == []


def test_all_faults_are_listed_with_pictures_and_status_1(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("truncated image", "one value", "other size", "copy"):
        FAULTS[name][0](root)
    with pytest.raises(SystemExit) as caught:
        main([str(root), "--out=report"])
    assert caught.value.code == 1
    errors = [it for it in capsys.readouterr().err.splitlines() if it.startswith("error: ")]
    assert [re.search(r"\d\d\.png", line)[0] for line in errors] == ["01.png", "03.png", "07.png"]  # type: ignore[index]
    page = Page(Path("report/index.html").read_text("utf-8"))
    assert page.links
    assert all(link.startswith("data:image/png;base64,") for link in page.links)


def test_options_of_data_are_those_of_fit(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("own.yaml").write_text(
        "name: mine\nmodel: {auxiliary_weight: 0.1}\n"
        f"data: {{source: {{class_path: Folder, init_args: {{root: '{root}'}}}}, crop_size: 41}}\n"
    )
    main(["-c", "base", "-c", "own.yaml", "--data.batch_size=5", "--workers=0"])
    report = json.loads(Path("logs/check/mine/check.json").read_text())
    assert report["proposals"]["cost"]["crop_size"] == [41, 41]
    assert report["proposals"]["cost"]["batch_size"] == 5
    with pytest.raises(SystemExit) as caught:
        main(["-c", "own.yaml", "--data.nothing=1"])
    assert caught.value.code == 2
    assert "nothing" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "said"), [([], "give the folder"), (["nowhere"], "no such")])
def test_without_data_there_is_one_line(
    words: list[str], said: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert said in capsys.readouterr().err


def test_proposed_statistics_are_those_of_the_pixels(root: Path) -> None:
    for name in (root / "train.txt").read_text().split():
        Image.new("RGB", (64, 48), (255, 51, 0)).save(root / "images" / f"{name}.png")
    main([str(root), "--out=report"])
    proposed = json.loads(Path("report/check.json").read_text())["proposals"]["data"]
    assert proposed["mean"] == [1, 0.2, 0]
    assert proposed["std"] == [0.0039] * 3  # a gray level, as nothing can be divided by 0
    SegmentationData(Folder(root), **proposed)


def test_a_proposed_weight_of_a_class_that_occurs_is_above_0(root: Path) -> None:
    for mask in (root / "masks").iterdir():
        pixels = np.zeros((600, 800), np.uint8)
        pixels[0, :2] = 1, 2
        Image.fromarray(pixels).save(mask)
        Image.new("RGB", (800, 600)).save(root / "images" / mask.name)
    main([str(root), "--out=report"])
    weights = json.loads(Path("report/check.json").read_text())["proposals"]["class_weights"]
    assert 0 < weights["inverse_frequency"]["ground"] < 1e-5
    assert "model.inference.base_size=800" in Path("report/index.html").read_text("utf-8")
