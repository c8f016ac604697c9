"""Every export format gives the labels, and so the training, of the same data as a plain folder."""

from __future__ import annotations

from pathlib import Path

import lightning
import numpy as np
import pytest
from export_writers import STEMS, WRITERS, label, write_folder

from pspnet.data import ADE20KFull, CamVid
from pspnet.data.cache import Cache
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.base import Source
from pspnet.models.pspnet import PSPNet
from pspnet.task import Segmentation


@pytest.mark.parametrize("name", WRITERS)
def test_labels_are_those_of_a_folder(tmp_path: Path, name: str) -> None:
    source = WRITERS[name](tmp_path)
    assert [it.lower().strip("_") for it in source.classes.names] == ["background", "cat", "dog"]
    samples = [*source.samples("train"), *source.samples("val")]
    assert [sample.name.rpartition("/")[2] for sample in samples] == [*STEMS]
    for number, sample in enumerate(samples):
        read = source.read_label(sample)
        assert (read.dtype, read.flags.c_contiguous) == (np.uint8, True)
        np.testing.assert_array_equal(read, label(number))


@pytest.mark.parametrize("name", WRITERS)
def test_only_its_own_format_is_recognized(tmp_path: Path, name: str) -> None:
    source = type(WRITERS[name](tmp_path / "a"))
    write_folder(tmp_path / "folder")
    (tmp_path / "empty").mkdir()
    assert source.recognizes(tmp_path / "a")  # type: ignore[attr-defined]
    for other in ("folder", "empty", "absent"):
        assert not source.recognizes(tmp_path / other)  # type: ignore[attr-defined]
    for other in {*WRITERS} - {name}:
        WRITERS[other](tmp_path / other)
        assert not source.recognizes(tmp_path / other)  # type: ignore[attr-defined]
    for benchmark in (CamVid, ADE20KFull):
        assert not benchmark.recognizes(tmp_path / "a")


@pytest.mark.parametrize("name", WRITERS)
def test_cached_labels_belong_to_the_classes(tmp_path: Path, name: str) -> None:
    """Labels are drawn by names: with other names, copies of labels are outdated."""
    source = WRITERS[name](tmp_path)
    sample = source.samples("val")[0]
    cache = Cache(tmp_path / "cache", label_key=source.label_code.key)
    for _ in range(2):
        np.testing.assert_array_equal(cache.label(sample, source.read_label), label(6))
    other = type(source)(tmp_path)
    names = (*source.classes.names[:2], "wolf")
    vars(other)["classes"] = type(source.classes)(names, source.classes.colors)
    assert other.label_code.key != source.label_code.key


def val_miou(source: Source, tmp_path: Path) -> float:
    lightning.seed_everything(3)
    task = Segmentation(PSPNet(3, "tu-test_resnet", decoder_channels=8), source.classes)
    data = SegmentationData(source, crop_size=33, batch_size=3, workers=0)
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_checkpointing=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(task, data)
    return trainer.callback_metrics["val/miou"].item()


@pytest.mark.parametrize(
    "name",
    ["COCO", *(pytest.param(it, marks=pytest.mark.slow) for it in ("LabelMe", "Supervisely"))],
)
def test_training_reaches_the_miou_of_a_folder(tmp_path: Path, name: str) -> None:
    miou = val_miou(write_folder(tmp_path / "plain"), tmp_path)
    assert miou > 0
    assert val_miou(WRITERS[name](tmp_path / "export"), tmp_path) == miou
