"""Shared batch normalizations against the network's own."""

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pspnet import PSPNet
from pspnet.data.datasets.classes import Classes
from pspnet.ops.sync_batchnorm import SyncBatchNorms
from pspnet.task import Segmentation


def network_of(encoder: str) -> PSPNet:
    torch.manual_seed(0)
    network = PSPNet(5, encoder=encoder, decoder_channels=8).double()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    return network.eval()


def kinds(network: nn.Module) -> dict[str, type]:
    return {name: type(module) for name, module in network.named_modules()}


@pytest.mark.parametrize("encoder", ["tu-tf_efficientnet_lite0", "resnet18"])
def test_all_are_shared_and_the_network_computes_the_same(encoder):
    network = network_of(encoder)
    image = torch.randn(1, 3, 41, 65, dtype=torch.float64)
    with torch.no_grad():
        expected = network(image)
        shared = SyncBatchNorms().apply(network)
        found = shared(image)
    norms = [module for module in shared.modules() if isinstance(module, _BatchNorm)]
    assert norms
    assert all(isinstance(module, nn.SyncBatchNorm) for module in norms)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_network_has_its_own_again_with_the_new_statistics():
    network, sync = network_of("tu-tf_efficientnet_lite0"), SyncBatchNorms()
    before = kinds(network)
    shared = sync.apply(network)
    norms = {name: m for name, m in shared.named_modules() if isinstance(m, _BatchNorm)}
    for module in norms.values():
        module.running_mean = torch.full_like(module.running_mean, 0.25)  # as after a move
    reverted = sync.revert(shared)
    assert kinds(reverted) == before
    assert all((reverted.get_submodule(name).running_mean == 0.25).all() for name in norms)


def test_a_task_replaces_lightnings_conversion(tmp_path):
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        strategy="ddp",
        sync_batchnorm=True,
        logger=False,
        default_root_dir=tmp_path,
    )
    assert type(trainer.strategy._layer_sync) is TorchSyncBatchNorm
    task = Segmentation(PSPNet(2, encoder="resnet18"), Classes(("a", "b"), ((0, 0, 0), (9, 9, 9))))
    task.trainer = trainer
    task.setup("validate")
    assert type(trainer.strategy._layer_sync) is SyncBatchNorms
