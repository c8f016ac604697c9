"""The callback that submits a test without labels, in a run of the Trainer."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from pspnet.callbacks.results import Report
from pspnet.callbacks.submission_writer import SubmissionWriter
from pspnet.data import VOC, CamVid
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.base import Source
from pspnet.errors import UserError


def write_image(path: Path, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (90, 100, 120)).save(path)


def voc(root: Path) -> VOC:
    """A test split of three images."""
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/test.txt").write_text("a\nb\nc")
    for stem, size in {"a": (20, 30), "b": (25, 12), "c": (20, 30)}.items():
        write_image(root / f"JPEGImages/{stem}.jpg", size)
    return VOC(root)


class Birds(lightning.LightningModule):
    """Predicts a bird, class 3, everywhere."""

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        size = (len(batch["image"]), *batch["image"].shape[2:])
        return torch.full(size, 3, dtype=torch.uint8)


def run(source: Source, tmp_path: Path, *callbacks: lightning.Callback, **options: Any) -> None:
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        logger=CSVLogger(tmp_path, name="run"),
        callbacks=[*callbacks],
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.test(Birds(), SegmentationData(source, workers=0), verbose=False)


def test_a_test_without_labels_leaves_an_archive_and_no_scores(tmp_path):
    source = voc(tmp_path / "data")
    writer = SubmissionWriter()
    run(source, tmp_path, Report(), writer)
    folder = tmp_path / "run/version_0"
    assert writer.archive == folder / "submission.tar.gz"
    with tarfile.open(writer.archive) as archive:
        images = [Image.open(archive.extractfile(name)) for name in archive.getnames()]
        assert [image.size for image in images] == [(30, 20), (12, 25), (30, 20)]
        assert {tuple(np.unique(image)) for image in images} == {(3,)}
    assert not {"results.json", "confusion.png"} & {path.name for path in folder.iterdir()}


def test_a_test_on_a_part_is_not_packed(tmp_path):
    source = voc(tmp_path / "data")
    writer = SubmissionWriter()
    with pytest.raises(
        UserError, match=r"2 of 3 images .* first 'b'; .*_test_batches and trainer.fast"
    ):
        run(source, tmp_path, writer, limit_test_batches=1)
    assert writer.archive is None
    assert not list(tmp_path.rglob("*.tar.gz"))


def test_a_test_with_labels_submits_nothing(tmp_path):
    root = tmp_path / "data"
    write_image(root / "test/a.png", (5, 6))
    (root / "testannot").mkdir()
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(root / "testannot/a.png")
    (root / "test.txt").write_text("a")
    writer = SubmissionWriter()
    run(CamVid(root), tmp_path, writer)
    assert writer.archive is None
    assert not list(tmp_path.rglob("submission*"))
