"""What the pyramid's 1×1 convolutions cost and save (table 1, "DR")."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pspnet.callbacks.costs import count_flops
from pspnet.models.pspnet import PSPNet, from_options
from pspnet.tools.explain.layers import trace_layers


@dataclass(frozen=True)
class Cost:
    """Of the network with or without dimension reduction, for inference on one image.

    Counted as published, with the decoder's input concatenated, but for `computed`.

    Args:
        level: channels of each pyramid level.
        context: channels that enter the decoder.
        pyramid: parameters and operations of the 1×1 convolutions, with their normalizations.
        decoder: parameters and operations of the decoder.
        network: of all of it, the auxiliary head left out.
        computed: operations of all of it as `pspnet.ops.fused_pyramid_conv` computes the decoder.
    """

    level: int
    context: int
    pyramid: tuple[int, int]
    decoder: tuple[int, int]
    network: tuple[int, int]
    computed: int


def reduction_costs(network: PSPNet, *, size: tuple[int, int]) -> dict[bool, Cost]:
    """Costs with (True) and without (False) reduction, all else as in `network`.

    Args:
        network: with at least one bin.
        size: height and width of the image.
    """
    return {reduce: _cost(network, reduce=reduce, size=size) for reduce in (True, False)}


def _cost(network: PSPNet, *, reduce: bool, size: tuple[int, int]) -> Cost:
    with torch.device("meta"):
        other = from_options({**network.options, "reduce": reduce})
    layers = [layer for layer in trace_layers(other, size=size) if layer.part != "auxiliary"]
    chosen = {
        "pyramid": [layer for layer in layers if layer.part.startswith("bin")],
        "decoder": [layer for layer in layers if layer.part == "decoder"],
        "network": layers,
    }
    sums = {
        name: (sum(layer.parameters for layer in own), sum(layer.flops for layer in own))
        for name, own in chosen.items()
    }
    context = other.pyramid.out_channels
    channels = int(other.encoder.out_channels[-1])  # type: ignore[index]
    level = (context - channels) // len(other.pyramid.bins)
    return Cost(level, context, **sums, computed=count_flops(other, size=size))
