"""Suspicions about pairs and copies in pictures of a place: found where seeded, nowhere else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.base import Source
from pspnet.data.scenes.dataset import Scenes
from pspnet.tools.check.report import check


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    scenes(root).prepare()
    return root


def scenes(root: Path) -> Source:
    return Scenes(root, train=20, val=8, test=4)


def texts(root: Path) -> list[str]:
    data = SegmentationData(scenes(root), crop_size=(65, 193))  # as the experiment's
    return [it.text for it in check(data, workers=0).findings]


def test_nothing_is_invented(drawn: Path) -> None:
    assert texts(drawn) == []


def shift(path: Path, down: int, right: int) -> None:
    pixels = np.array(Image.open(path))
    image = Image.fromarray(np.roll(pixels, (down, right), (0, 1)))
    image.save(path)


def one_shifted(root: Path) -> None:
    shift(files(root)["train"][3][1], 2, 6)


def all_shifted(root: Path) -> None:
    for pairs in files(root).values():
        for _, label in pairs:
            shift(label, 2, 4)


def recompressed(root: Path) -> None:
    Image.open(files(root)["train"][3][0]).save(files(root)["val"][2][0], "JPEG", quality=85)


def brighter(root: Path) -> None:
    pixels = np.array(Image.open(files(root)["train"][3][0])).astype(int) + 10
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(files(root)["val"][2][0], "PNG")


def files(root: Path) -> dict[str, list[tuple[Path, Path]]]:
    found = {}
    for split in ("train", "val", "test"):
        samples = scenes(root).samples(split)  # type: ignore[arg-type]
        found[split] = [(it.image, it.label) for it in samples if it.label is not None]
    return found


SEEDED: dict[str, tuple[Callable[[Path], None], str]] = {
    "one shifted": (one_shifted, "seems to be shifted: its edges fit"),
    "all shifted": (all_shifted, "labels lie beside their images"),
    "recompressed": (recompressed, "nearly the same image"),
    "brighter": (brighter, "nearly the same image"),
}


@pytest.mark.parametrize("name", SEEDED)
def test_a_fault_is_named(drawn: Path, tmp_path: Path, name: str) -> None:
    root = tmp_path / "scenes"
    shutil.copytree(drawn, root)
    seed, words = SEEDED[name]
    seed(root)
    found = texts(root)
    assert any(re.search(words, text) for text in found), found
