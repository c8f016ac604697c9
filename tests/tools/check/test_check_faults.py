"""Each seeded fault is named, and nothing is named in clean sets."""

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from seeded import FAULTS
from shapes import paint

from pspnet.data import Folder
from pspnet.data.datamodule import SegmentationData
from pspnet.tools.check.report import Report, check


def checked(root: Path) -> Report:
    return check(SegmentationData(Folder(root), crop_size=33, batch_size=4), workers=0)


def painted(root: Path, *, seed: int = 0) -> Path:
    """A clean set whose noise is smooth, as a camera's is after compression."""
    paint(root, count=12, size=(72, 96), seed=seed)
    for path in (root / "images").iterdir():
        smooth = cv2.GaussianBlur(np.array(Image.open(path)), (0, 0), 1.5).astype(float)
        Image.fromarray((3 * (smooth - 90) + 90).clip(0, 255).astype(np.uint8)).save(path)
    return root


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted(tmp_path_factory.mktemp("clean") / "data")


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
    report = checked(painted(tmp_path / "data", seed=seed))
    assert [it.text for it in report.findings if "no test split" not in it.text] == []
    assert report.proposals
