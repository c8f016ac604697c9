"""Parameters and operations by hand, and the pull of the two losses against two backward passes."""

import json
from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from pspnet import Dilation, PSPNet
from pspnet.callbacks.costs import AuxiliaryGradient, Costs, count_flops, count_parameters
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.folder import Folder
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.task import Segmentation

CLASSES = Classes(("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))


def test_operations_of_the_head_are_those_of_its_convolutions():
    """Twice in·out·k²·H·W a convolution, and as much a product; the encoders are the same."""
    options = {"encoder": "resnet18", "decoder_channels": 64}
    pyramid = PSPNet(7, bins=(1, 2), **options)
    plain = PSPNet(7, bins=(), **options)
    size, height, width = (65, 97), 9, 13
    features = height * width
    levels = 2 * (1 + 4) * 512 * 256
    pooling = 2 * 512 * (width * height * (1 + 2) + width * (1 + 4))  # by rows, then columns
    taps = 2 * (1 + 4) * 9 * 256 * 64
    spreading = 2 * 64 * (9 * (1 + 4) * width + 3 * (1 + 2) * height * width)
    more = count_flops(pyramid, size=size) - count_flops(plain, size=size)
    assert more == levels + pooling + taps + spreading
    pyramid.fused_pyramid = False
    head = 2 * features * (1024 * 64 * 9 - 512 * 64 * 9)
    assert count_flops(pyramid, size=size) - count_flops(plain, size=size) == head + levels
    strided = PSPNet(7, bins=(), dilation=Dilation(stage4=(1,), stage5=(1,)), **options)
    assert count_flops(strided, size=size) < count_flops(plain, size=size) / 3


def test_the_auxiliary_head_does_not_count_for_inference():
    network = PSPNet(7, encoder="resnet18", decoder_channels=64, auxiliary_channels=32)
    head = 256 * 32 * 9 + 2 * 32 + 32 * 7 + 7
    assert count_parameters(network) == sum(p.numel() for p in network.parameters())
    assert count_parameters(network) - count_parameters(network, inference=True) == head


@pytest.fixture(scope="module")
def run(shapes, tmp_path_factory):
    """A task after two steps of training without dropout, and the folder of its run."""
    torch.manual_seed(0)
    network = PSPNet(3, encoder="tu-regnetx_002", decoder_channels=16, dropout=0.0)
    task = Segmentation(network, CLASSES, auxiliary_weight=0.4, lr=1e-9, momentum=0.0)
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
        callbacks=[AuxiliaryGradient(), Costs(), Batches(batches)],
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


def test_a_training_says_what_it_cost(run):
    task, _, folder = run
    costs = json.loads(Path(folder, "costs.json").read_text())
    assert costs["flops"] == count_flops(task.network, size=(41, 41))
    assert costs["crop_size"] == [41, 41]
    assert costs["parameters"] > costs["parameters_inference"] > 1e5
    assert 0.1 < costs["images_per_second"] < 1e5
    assert costs["peak_memory_of"] == "process"
    assert 1e8 < costs["peak_memory"] < 1e12
    assert costs["seconds"] > 0
