"""The mIoU of training crops: logged per epoch, whole after a stop, with a note on classes."""

import csv

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from shapes import paint

from pspnet import PSPNet
from pspnet.callbacks.training_scores import TrainingScores
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.folder import Folder
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.evaluation.metrics import mean_iou
from pspnet.task import Segmentation


def fit(root, folder, *callbacks, ckpt_path=None, **options):
    plain = Augmentation(scale=(1.0, 1.0), rotation=0.0, blur=0.0, mirror=0.5)
    data = SegmentationData(Folder(root), crop_size=33, batch_size=3, workers=0, augmentation=plain)
    torch.manual_seed(0)
    network = PSPNet(len(data.classes), encoder="tu-test_resnet", decoder_channels=8, dropout=0.0)
    task = Segmentation(network, data.classes)
    logger = CSVLogger(folder, name="", version="")
    trainer = lightning.Trainer(
        accelerator="cpu",
        logger=logger,
        callbacks=[TrainingScores(), *callbacks],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=1,
        **{"max_epochs": 2, **options},
    )
    trainer.fit(task, data, ckpt_path=ckpt_path)
    with (folder / "metrics.csv").open() as file:
        return [
            (row["step"], row["train/miou"])
            for row in csv.DictReader(file)
            if row.get("train/miou")
        ]


class Counted(lightning.Callback):
    """The mIoU of each epoch, from the counts of its batches."""

    def __init__(self):
        self.found, self.matrix = [], 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.matrix = self.matrix + pl_module.crop_counts

    def on_train_epoch_end(self, trainer, pl_module):
        self.found.append(mean_iou(self.matrix).item())
        self.matrix = 0


@pytest.fixture(scope="module")
def runs(shapes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    counted, saved = (
        Counted(),
        ModelCheckpoint(folder / "saved", every_n_train_steps=2, save_top_k=-1),
    )
    return folder, fit(shapes, folder / "whole", counted, saved), counted.found


def test_each_epoch_logs_the_miou_of_its_crops(runs):
    _, rows, counted = runs
    assert [step for step, _ in rows] == ["2", "5"]
    assert [float(miou) for _, miou in rows] == pytest.approx(counted)


def test_an_epoch_that_continues_has_the_score_of_a_whole_one(runs, shapes):
    folder, rows, _ = runs
    (path,) = (folder / "saved").glob("*step=4.ckpt")  # within the second epoch
    assert fit(shapes, folder / "rest", ckpt_path=path) == rows[1:]


def test_classes_without_a_pixel_are_noted_once(tmp_path, capsys):
    root = paint(tmp_path / "data", count=5)
    (root / "classes.yaml").write_text("names: [ground, disc, bar, unicorn]")
    fit(root, tmp_path / "run")
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: 1 class has no pixel in the val split: unicorn",
        "note: 1 class has no pixel in the grid of an epoch's training crops that train/miou "
        "counts: unicorn",
    ]
