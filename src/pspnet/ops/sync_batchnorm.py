"""Batch normalizations that share their statistics between processes, and become their own again.

torch's conversion, which Lightning calls, makes a plain `nn.SyncBatchNorm` of every normalization,
and so drops the activation that timm's `BatchNormAct2d` (EfficientNet, RegNet, MobileNet, …) holds.
"""

from __future__ import annotations

import torch.distributed
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class SyncBatchNorms(TorchSyncBatchNorm):
    """Lightning's `sync_batchnorm` by timm's conversion, which keeps activations.

    `revert` puts the modules themselves back, with the statistics of the shared ones.
    """

    def __init__(self) -> None:
        self._own: dict[str, _BatchNorm] = {}

    def apply(self, model: nn.Module) -> nn.Module:
        from timm.layers.norm_act import convert_sync_batchnorm  # imports wandb, and takes seconds

        self._own = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, _BatchNorm) and not isinstance(module, nn.SyncBatchNorm)
        }
        converted: nn.Module = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted

    def revert(self, model: nn.Module) -> nn.Module:
        for name, own in self._own.items():
            shared = model.get_submodule(name)
            for key, buffer in shared.named_buffers(recurse=False):
                setattr(own, key, buffer)  # of a module that was moved to a device they are others
            own.train(shared.training)
            model.set_submodule(name, own)
        self._own = {}
        return model


def share_buffers(module: nn.Module) -> None:
    """Give all processes the first one's buffers, which checkpoints hold; without others, nothing.

    DistributedDataParallel does so before each forward pass of a training. An evaluation after it
    would use each process's own statistics, and score another network than is saved.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, src=0)
