"""Gradient norms of the two losses against two backward passes, with any auxiliary head."""

from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from pspnet import PSPNet
from pspnet.callbacks.gradient_norms import AuxiliaryGradient
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.folder import Folder
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.task import Segmentation

CLASSES = Classes(("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))


class Head(nn.Module):
    """A head that is no sequence, and reads its input twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.classify = nn.Conv2d(channels, 3, 1)

    def forward(self, features):
        return self.classify(features) + self.classify(features.flip(2))


@pytest.fixture(scope="module", params=["plain head", "another head"])
def run(request, shapes, tmp_path_factory):
    """A task after two steps of training without dropout, and the folder of its run."""
    torch.manual_seed(0)
    network = PSPNet(3, encoder="tu-test_resnet", decoder_channels=16, dropout=0.0)
    if request.param == "another head":
        network.auxiliary = Head(network.encoder.out_channels[-2])
    task = Segmentation(
        network,
        CLASSES,
        auxiliary_weight=0.4,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e-9),
    )
    plain = Augmentation(scale=(1.0, 1.0), rotation=0.0, blur=0.0, mirror=0.5)
    data = SegmentationData(
        Folder(shapes), crop_size=41, batch_size=5, workers=0, augmentation=plain
    )
    batches: list = []
    logger = CSVLogger(tmp_path_factory.mktemp("logs"))
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=logger,
        log_every_n_steps=2,
        limit_val_batches=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[AuxiliaryGradient(), Batches(batches)],
    )
    trainer.fit(task, data)
    logger.save()
    return task, batches, logger.log_dir


class Batches(lightning.Callback):
    """Keeps the batches that were trained on."""

    def __init__(self, batches: list) -> None:
        self.batches = batches

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.batches.append(batch)


def test_the_logged_gradients_are_those_of_each_loss_alone(run):
    task, batches, folder = run
    header, *rows = (
        line.split(",") for line in Path(folder, "metrics.csv").read_text().splitlines()
    )
    places = [header.index(f"train/gradient_{kind}") for kind in ("auxiliary", "main")]
    logged = [[float(row[place]) for place in places] for row in rows if row[places[0]]]
    assert len(logged) == 1  # of the second step
    batch = batches[1]
    network = task.network.train()
    stage4 = {}
    network.auxiliary.register_forward_pre_hook(lambda _, inputs: stage4.update(x=inputs[0]))
    logits, auxiliary = network(batch["image"])
    cross_entropy = torch.nn.functional.cross_entropy
    for loss, found in (
        (0.4 * cross_entropy(auxiliary, batch["label"], ignore_index=255), logged[0][0]),
        (cross_entropy(logits, batch["label"], ignore_index=255), logged[0][1]),
    ):
        gradient = torch.autograd.grad(loss, stage4["x"], retain_graph=True)[0]
        assert found == pytest.approx(gradient.norm().item(), rel=1e-3)
