"""Each seeded fault is named, and nothing is named in clean sets."""

import re
import shutil
from pathlib import Path

import pytest
from seeded import FAULTS
from shapes import paint

from pspnet.data import Folder
from pspnet.data.datamodule import SegmentationData
from pspnet.tools.check.report import Report, check


def checked(root: Path) -> Report:
    return check(SegmentationData(Folder(root), crop_size=33, batch_size=4), workers=0)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint(tmp_path_factory.mktemp("clean") / "data", count=12)


@pytest.mark.parametrize("name", FAULTS)
def test_a_seeded_fault_is_named(name: str, clean: Path, tmp_path: Path) -> None:
    fault, level, pattern = FAULTS[name]
    root = tmp_path / "data"
    shutil.copytree(clean, root)
    fault(root)
    report = checked(root)
    lines = [it.text for it in report.findings if it.level == level]
    assert any(re.search(pattern, line) for line in lines), report.findings
    assert report.failed == (level == "error")


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_invented(seed: int, tmp_path: Path) -> None:
    report = checked(paint(tmp_path / "data", count=12, seed=seed))
    assert [it.text for it in report.findings if "no test split" not in it.text] == []
    assert report.proposals
