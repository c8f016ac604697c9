"""Parameters and operations by hand, of edited networks too, and costs.json of a training."""

import json
import sys
from functools import cache
from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from pspnet import Dilation, PSPNet
from pspnet.callbacks.costs import Costs, count_flops, count_parameters, peak_memory
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.folder import Folder
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.task import Segmentation

CLASSES = Classes(("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))


def test_operations_of_the_head_are_those_of_its_convolutions():
    """Twice in·out·k²·H·W per convolution, and as much per product; the encoders are the same."""
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


class ASPP(nn.Module):
    """Two dilated branches in place of the pyramid."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(512, 32, 3, padding=rate, dilation=rate) for rate in (2, 4)
        )

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class TwoDecoders(PSPNet):
    """A network whose own forward decodes twice, with a product of its own."""

    def forward(self, image, upsample=True):
        features = self.encoder(image)[-1]
        return self.decoder(features) + self.decoder(features.flip(3)) @ torch.eye(
            features.shape[3], device=features.device
        )


@cache
def encoder_flops(units=9 * 13):
    """Operations of an encoder, those of its network without those of a head by formula."""
    bare = TwoDecoders(7, bins=(), encoder="resnet18", decoder_channels=64)
    own = 2 * (2 * (512 * 64 * 9 + 64 * 7) * units) + 2 * 7 * 9 * 13 * 13
    return count_flops(bare, size=(65, 97)) - own


def decoded(network):
    """Operations without the encoder's."""
    return count_flops(network, size=(65, 97)) - encoder_flops()


def small(kind=PSPNet, **options):
    return kind(7, encoder="resnet18", decoder_channels=64, **options)


def test_operations_are_those_of_the_network_as_it_stands():
    units = 9 * 13
    head = 2 * (512 * 64 * 9 + 64 * 7) * units
    assert decoded(small(bins=())) == head
    depthwise = small(bins=())
    depthwise.decoder[0] = nn.Sequential(
        nn.Conv2d(512, 512, 3, padding=1, groups=512), nn.Conv2d(512, 64, 1)
    )
    assert decoded(depthwise) == 2 * (512 * 9 + 512 * 64 + 64 * 7) * units
    aspp = small()
    aspp.pyramid, aspp.decoder = ASPP(), nn.Conv2d(64, 7, 1)
    assert decoded(aspp) == 2 * (2 * 512 * 32 * 9 + 64 * 7) * units
    hooked = small(bins=())
    hooked.decoder[0].register_forward_hook(lambda _, __, y: y[:, :, ::2])
    assert decoded(hooked) == 2 * 512 * 64 * 9 * units + 2 * 64 * 7 * 5 * 13
    normed = small(bins=())
    nn.utils.spectral_norm(normed.decoder[0])
    normed(torch.zeros(2, 3, 65, 97))  # its weight is a result now
    assert decoded(normed) == head


def test_counting_leaves_the_network_as_it_was():
    network = small().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    count_flops(network, size=(65, 97))
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.fixture(scope="module")
def run(shapes, tmp_path_factory):
    """A task after two steps of training without dropout, and the folder of its run."""
    torch.manual_seed(0)
    network = PSPNet(3, encoder="tu-test_resnet", decoder_channels=16, dropout=0.0)
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
        callbacks=[Costs()],
    )
    trainer.fit(task, data)
    logger.save()
    return task, logger.log_dir


def test_a_training_says_what_it_cost(run):
    task, folder = run
    costs = json.loads(Path(folder, "costs.json").read_text())
    assert costs["flops"] == count_flops(task.network, size=(41, 41))
    assert costs["crop_size"] == [41, 41]
    assert costs["parameters"] > costs["parameters_inference"] > 1e5
    assert 0.1 < costs["images_per_second"] < 1e5
    assert costs["peak_memory_of"] == "process"
    assert 1e8 < costs["peak_memory"] < 1e12
    assert costs["seconds"] > 0


def test_systems_that_do_not_tell_have_no_peak_memory(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert peak_memory(torch.device("cpu")) is None
