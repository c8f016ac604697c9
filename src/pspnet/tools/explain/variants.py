"""Networks that differ from a given one in one option: dilation layout, dimension reduction.

They are built from the network's options, which describe it only as long as nothing on it was
replaced. An edited network has no variants.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import nn

from pspnet.callbacks.costs import count_flops
from pspnet.errors import UserError
from pspnet.models.dilation import Dilation
from pspnet.models.options import structure
from pspnet.models.pspnet import PSPNet, from_options
from pspnet.ops.equivalence import why_not_plain
from pspnet.tools.explain.layer_table import Layer, trace_layers

THIS_NETWORK = "this network"
LAYOUTS = {
    "output stride 32": Dilation((1,), (1,)),
    "output stride 16": Dilation((1,), (2,)),
    "output stride 8, first block full": Dilation((2,), (4,), "full"),
    "output stride 8, first block half": Dilation((2,), (4,), "half"),
}


@dataclass(frozen=True)
class Cost:
    """Parameters and operations of inference on one image, with or without dimension reduction.

    Counted as published, with the decoder's input concatenated, except for `as_run`.

    Args:
        level: channels of each pyramid level.
        context: channels that enter the decoder.
        pyramid: parameters and operations of the 1×1 convolutions, with their normalizations.
        decoder: parameters and operations of the decoder.
        network: parameters and operations of the network without the auxiliary head.
        as_run: operations of the network as its forward computes it.
    """

    level: int
    context: int
    pyramid: tuple[int, int]
    decoder: tuple[int, int]
    network: tuple[int, int]
    as_run: int


def why_edited(network: PSPNet) -> str | None:
    """Return how the network differs from the one that its options describe, None if it does not.

    Compared are class, modules with their settings, hooks and forward methods; not weights.
    """
    if type(network) is not PSPNet:
        return f"the network is a {type(network).__name__}"
    with torch.device("meta"):
        described = from_options(network.options)
    own, expected = (structure(x, without="-") | _shapes(x) for x in (network, described))
    for name in {**own, **expected}:
        if own.get(name) != expected.get(name):
            differing = (own.get(name, "missing"), expected.get(name, "missing"))
            return f"{name or 'the network'} is {differing[0]}, by its options {differing[1]}"
    for name, module in described.named_modules():
        if reason := why_not_plain(network.get_submodule(name), type(module)):
            return f"{name or 'the network'}: {reason}"
    return None


def _shapes(network: nn.Module) -> dict[str, str]:
    return {key: f"of shape {[*x.shape]}" for key, x in network.state_dict().items()}


def layouts(network: PSPNet) -> tuple[dict[str, PSPNet], dict[str, str]]:
    """Return the same weights in other dilation layouts, and why the encoder cannot have others.

    Args:
        network: one for which `why_edited` is None; the first of those that are returned.
    """
    networks, refused = {THIS_NETWORK: network}, {}
    for name, dilation in LAYOUTS.items():
        if dilation != network.dilation:
            try:
                networks[name] = with_dilation(network, dilation)
            except UserError as error:
                refused[name] = str(error)
    return networks, refused


def with_dilation(network: PSPNet, dilation: Dilation) -> PSPNet:
    """Return a network in evaluation mode with another dilation layout and the same weights.

    Raises:
        UserError: if its encoder cannot have that layout.
    """
    other = from_options({**network.options, "dilation": asdict(dilation)})
    other.load_state_dict(network.state_dict())
    return other.to(next(network.parameters()).device).eval()


def describe(dilation: Dilation) -> str:
    """Describe a layout: output stride, dilations of stages 4 and 5, first blocks."""
    words = [f"output stride {dilation.output_stride}"]
    for stage, values in (("4", dilation.stage4), ("5", dilation.stage5)):
        if values != (1,):
            words.append(f"stage {stage} dilated by {', '.join(str(value) for value in values)}")
    if dilation.output_stride < 32:
        words.append(f"first block {dilation.first_block}")
    if dilation.convolutions == "first":
        words.append("only the first convolution of a block")
    return "; ".join(words)


def reduction_costs(network: PSPNet, *, size: tuple[int, int]) -> dict[bool, Cost]:
    """Return the costs with (True) and without (False) dimension reduction.

    Args:
        network: one for which `why_edited` is None, with at least one bin.
        size: height and width of the image.
    """
    with torch.device("meta"):
        with_ = from_options({**network.options, "reduce": True})
        # a width of levels is one to reduce to
        without = from_options({**network.options, "reduce": False, "level_width": None})
    networks = {True: with_, False: without}
    return {reduce: _cost(other, size) for reduce, other in networks.items()}


def _cost(network: PSPNet, size: tuple[int, int]) -> Cost:
    layers = trace_layers(network, size=size)
    context, bins = network.pyramid.out_channels, len(network.pyramid.bins)
    channels = int(network.encoder.out_channels[-1])  # type: ignore[index]
    return Cost(
        level=(context - channels) // bins,
        context=context,
        pyramid=_sums([layer for layer in layers if layer.part.startswith("bin")]),
        decoder=_sums([layer for layer in layers if layer.part == "decoder"]),
        network=_sums(layers),
        as_run=count_flops(network, size=size),
    )


def _sums(layers: list[Layer]) -> tuple[int, int]:
    return sum(layer.parameters for layer in layers), sum(layer.flops for layer in layers)
