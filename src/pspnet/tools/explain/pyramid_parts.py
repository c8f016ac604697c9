"""The parts of the pyramid's output, and a forward pass without some of them.

The output, the decoder's input, is the concatenation of the features and one map per bin. A forward
hook on the pyramid reads or replaces parts of it, with which the network takes the published form
of pyramid and decoder; everything else runs as it stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pspnet.callbacks.costs import blank_image
from pspnet.inference.class_scores import evaluate
from pspnet.inference.protocols import Protocol
from pspnet.models.pspnet import PSPNet
from pspnet.models.pyramid_pooling import PyramidPooling
from pspnet.ops.equivalence import copy_without_memory

FEATURES, ALL_BINS, NOTHING = "features", "all bins", "nothing"
CHECK_SIZE = (65, 65)
ONE_PASS = Protocol("whole", average="scores")
REMEMBERED = 2**31  # bytes of features per image, beyond which the encoder runs again


def why_no_parts(network: PSPNet) -> str | None:
    """Return why the pyramid's output is not the features and one map per bin, None if it is."""
    pyramid = network.pyramid
    name = type(pyramid).__name__
    if not isinstance(pyramid, PyramidPooling):
        return f"the network has {name} in place of PyramidPooling"
    if type(pyramid).forward is not PyramidPooling.forward or "forward" in vars(pyramid):
        return f"{name} has a forward of its own, whose output need not be one map per bin"
    if not pyramid.bins:
        return "the network has no bins"
    copy = copy_without_memory(network).eval()
    with torch.no_grad(), pyramid_outputs(copy) as outputs:
        copy(blank_image(copy, CHECK_SIZE))
    if not outputs:
        return f"the forward of {type(network).__name__} does not call the pyramid"
    if outputs[0].shape[1] != pyramid.out_channels:
        return f"hooks turn the pyramid's {pyramid.out_channels} channels into others"
    return None


def part_widths(network: PSPNet) -> dict[str, int]:
    """Return the channels of each part of the pyramid's output in order: features, then bins."""
    bins, total = network.pyramid.bins, network.pyramid.out_channels
    level = next((m for m in network.pyramid.levels.modules() if isinstance(m, nn.Conv2d)), None)
    width = total // (len(bins) + 1) if level is None else level.out_channels
    return {FEATURES: total - len(bins) * width, **{f"bin {side}": width for side in bins}}


def split_parts(network: PSPNet, output: Tensor) -> dict[str, Tensor]:
    """Split the pyramid's output (N, channels, h, w) into its parts."""
    widths = part_widths(network)
    return dict(zip(widths, output.split_with_sizes([*widths.values()], 1), strict=True))


def variants(network: PSPNet) -> dict[str, list[str]]:
    """Return the parts that are ablated together, by a name: nothing, each part, all bins."""
    parts = [*part_widths(network)]
    together = {ALL_BINS: parts[1:]} if len(parts) > 2 else {}
    return {NOTHING: [], **{part: [part] for part in parts}, **together}


@contextmanager
def pyramid_outputs(network: PSPNet) -> Iterator[list[Tensor]]:
    """Collect the pyramid's outputs within a context."""
    outputs: list[Tensor] = []
    with network.pyramid.register_forward_hook(lambda _, __, output: outputs.append(output)):
        yield outputs


@contextmanager
def ablated(
    network: PSPNet, parts: Collection[str], means: Mapping[str, Tensor] | None
) -> Iterator[None]:
    """Replace parts of the pyramid's output within a context.

    Args:
        network: one for which `why_no_parts` is None.
        parts: names of the parts that are replaced.
        means: by part, the mean (channels,) that replaces it; None replaces it by 0.
    """

    def replace(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        maps = split_parts(network, output)
        for part in parts:
            zero = torch.zeros_like(maps[part])
            maps[part] = zero if means is None else zero + means[part].to(zero).view(1, -1, 1, 1)
        return torch.cat([*maps.values()], 1)

    with network.pyramid.register_forward_hook(replace):
        yield


@contextmanager
def remember_features(encoder: nn.Module, *, limit: int = REMEMBERED) -> Iterator[None]:
    """Run the encoder once per input within a context; an equal input gets copies of its features.

    Args:
        encoder: in evaluation mode, returning a list of tensors; any other output is not kept.
        limit: bytes that are kept.
    """
    forward, own = encoder.forward, vars(encoder).get("forward")
    known: list[tuple[Tensor, list[Tensor]]] = []

    def remember(image: Tensor) -> Any:
        for key, features in known:
            if key.shape == image.shape and torch.equal(key, image):
                return [feature.clone() for feature in features]
        output = forward(image)
        if isinstance(output, list):
            kept = [*known, (image, [feature.clone() for feature in output])]
            if sum(x.nbytes for key, features in kept for x in [key, *features]) <= limit:
                known.append(kept[-1])
        return output

    encoder.forward = remember
    try:
        yield
    finally:
        del encoder.forward
        if own is not None:
            encoder.forward = own


def contributions(
    network: PSPNet, image: Tensor, means: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the logits, (C, H, W), and each part's contribution to the predicted class, (H, W).

    A contribution is the difference of the predicted class's logit to the one with the part
    replaced by its mean. The logits are no sum of these, as a ReLU stands between.

    Args:
        network: in evaluation mode, one for which `why_no_parts` is None.
        image: (3, H, W), normalized.
        means: by part, its mean (channels,) over a data set.
    """
    with torch.no_grad(), remember_features(network.encoder):
        with ablated(network, [], None):
            logits = evaluate(network, image[None], ONE_PASS)
        prediction = logits.argmax(1, keepdim=True)  # (1, 1, H, W)
        maps = {}
        for part in part_widths(network):
            with ablated(network, [part], means):
                without = evaluate(network, image[None], ONE_PASS)
            maps[part] = (logits - without).gather(1, prediction)[0, 0]
    return logits[0], maps
