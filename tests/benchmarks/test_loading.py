"""The pipelines of the loading benchmark give crops whose labels lie on their images."""

from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.loading import Files, calls, read, write_files
from benchmarks.published import pipelines
from benchmarks.synthetic import MEAN, STD, random_label

SIZE, CROP, CLASSES = (60, 90), 65, 3


@pytest.fixture
def pair(tmp_path):
    """An image whose levels are 80 times its label's classes; what is ignored is black."""
    ids = random_label(SIZE, classes=CLASSES, seed=0)
    level = np.where(ids == 255, 0, 80 * ids).astype(np.uint8)
    Image.fromarray(np.stack([level] * 3, axis=2)).save(tmp_path / "image.png")
    Image.fromarray(ids).save(tmp_path / "label.png")
    return tmp_path / "image.png", tmp_path / "label.png"


@pytest.mark.parametrize("name", pipelines.PIPELINES)
def test_crops_and_labels_are_changed_alike(name, pair, monkeypatch):
    monkeypatch.setattr(pipelines, "_distorted", lambda pixels, draw: pixels)
    load, draw = pipelines.loader(name, crop=CROP), Random(0)
    torch.manual_seed(0)
    for _ in range(8):
        image, ids = load(*pair, draw)
        assert image.shape == (3, CROP, CROP)
        assert ids.shape == (CROP, CROP)
        level = image[0].float()
        if image.dtype != torch.uint8:
            level = 255 * (level * STD[0] + MEAN[0])
        labeled = ids < CLASSES
        assert labeled.float().mean() > 0.1
        near = (level - 80 * ids).abs() < 20  # but at the patches' borders
        assert near[labeled].float().mean() > 0.7


def test_distortion_keeps_bytes_and_changes_colors(pair):
    pixels, _ = read(*pair)
    changed = [pipelines._distorted(pixels, Random(seed)) for seed in range(20)]
    assert {image.dtype for image in changed} == {np.dtype(np.uint8)}
    assert 10 < sum(not np.array_equal(image, pixels) for image in changed) < 20


def test_each_pipeline_loads_the_files(tmp_path):
    write_files(tmp_path / "data", size=SIZE, number=8, suffix="jpg")
    for call in calls(Files("jpg", tmp_path / "data", crop=33)).values():
        call()
    assert len([*(tmp_path / "data" / "cache").rglob("*.npy")]) == 16  # images and labels
