"""This package's network as `pspnet.task` trains it and predicts with it.

The optional substitutes of `pspnet.ops` are switched on here and nowhere else in the benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from benchmarks.published.network import AUXILIARY_WEIGHT
from pspnet.inference.class_scores import predict
from pspnet.inference.network_copy import inference_copy
from pspnet.inference.protocols import Protocol, ProtocolName, ProtocolOverrides, resolve
from pspnet.losses import CrossEntropy
from pspnet.models.pspnet import PSPNet
from pspnet.ops.activation_recompute import ActivationRecompute
from pspnet.task import PLAIN_NORMS

Loss = Callable[[Tensor, Tensor], Tensor]  # of images (N, 3, H, W) and labels (N, H, W)


def set_fused_pyramid(network: PSPNet, fused: bool) -> PSPNet:
    """Choose the fused or the published form of pyramid and decoder convolution."""
    network.fused_pyramid = fused
    return network


def channels_last(image: Tensor) -> Tensor:
    """Return the same values in the layout that this package computes in."""
    return image.contiguous(memory_format=torch.channels_last)


def for_inference(network: PSPNet) -> PSPNet:
    """Return a copy with BN fused into the convolutions, in the layout of this package."""
    copy, _ = inference_copy(network)
    return copy.to(memory_format=torch.channels_last)


def training_loss(network: PSPNet, *, recompute: bool) -> Loss:
    """Return the loss of a training step, evaluated in chunks of logits at feature resolution."""
    criterion = CrossEntropy()
    context = ActivationRecompute(network, norms=PLAIN_NORMS) if recompute else nullcontext

    def loss(image: Tensor, label: Tensor) -> Tensor:
        with context():
            outputs = network(image, upsample=False)
        main, auxiliary = (
            criterion.chunked(logits, label, align_corners=network.align_corners)
            for logits in outputs
        )
        return main + AUXILIARY_WEIGHT * auxiliary

    return loss


def parameter_groups(network: PSPNet, *, lr: float) -> list[dict[str, Any]]:
    """Return the optimizer's parameter groups, as in a training."""
    return [{**group, "lr": lr * group["lr_factor"]} for group in network.parameter_groups()]


def protocol(
    name: ProtocolName, *, crop: int, base_size: int | None, batch: int | None = None
) -> Protocol:
    """Return an evaluation protocol with windows of crop × crop, `batch` windows at once."""
    return resolve(
        name, ProtocolOverrides(batch=batch), crop_size=(crop, crop), base_size=base_size
    )


def class_map(network: PSPNet, image: Tensor, chosen: Protocol | None = None) -> Tensor:
    """Return class ids (N, H, W) under a protocol, in one forward pass unless one is given."""
    return predict(network, image, chosen or Protocol("whole", average="scores"))[0]
