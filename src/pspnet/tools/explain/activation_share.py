"""Means of the pyramid's parts, and their shares in the decoder's first convolution.

That convolution is linear: its output is a sum of one term per part of its input, computed by the
part's own slice of the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pspnet.callbacks.costs import blank_image
from pspnet.inference.class_scores import evaluate
from pspnet.models.pspnet import PSPNet
from pspnet.ops.equivalence import copy_without_memory, why_not_plain
from pspnet.tools.explain.pyramid_parts import (
    CHECK_SIZE,
    ONE_PASS,
    part_widths,
    pyramid_outputs,
    split_parts,
)


@dataclass
class Statistics:
    """Sums over images from which the parts' means and the sizes of their terms follow.

    Images count alike, whatever their size.
    """

    images: int = 0
    parts: dict[str, Tensor] = field(default_factory=dict)  # (channels,), sums of means
    terms: dict[str, Tensor] = field(default_factory=dict)  # (D,), sums of means
    squares: dict[str, Tensor] = field(default_factory=dict)  # (D,), sums of mean squares

    def add(self, parts: dict[str, Tensor], terms: dict[str, Tensor]) -> None:
        """Count a batch of parts (N, channels, h, w) and terms (N, D, h, w)."""
        self.images += len(next(iter(parts.values())))
        squares = {name: term.square() for name, term in terms.items()}
        for sums, maps in ((self.parts, parts), (self.terms, terms), (self.squares, squares)):
            for name, value in maps.items():
                mean = value.mean((2, 3)).cpu().double().sum(0)
                sums[name] = sums.get(name, torch.zeros_like(mean)) + mean

    def means(self) -> dict[str, Tensor]:
        """Return each part's mean over images and places, (channels,) float64."""
        return {name: total / self.images for name, total in self.parts.items()}

    def sizes(self) -> dict[str, tuple[float, float]]:
        """Return the root mean square of each part's term, and of its deviation from its mean.

        A term's mean per channel is no more than a bias, which the normalization removes.
        """
        sizes = {}
        for name, squares in self.squares.items():
            power = squares / self.images
            variance = (power - (self.terms[name] / self.images).square()).clamp(min=0)
            sizes[name] = (power.mean().sqrt().item(), variance.mean().sqrt().item())
        return sizes


def collect_statistics(network: PSPNet, images: Iterable[Tensor]) -> Statistics:
    """Collect the statistics of images (3, H, W), each evaluated in one pass.

    Args:
        network: in evaluation mode, one for which `why_no_parts` is None.
        images: normalized.
    """
    weight = next(network.parameters())
    statistics, with_terms = Statistics(), why_no_terms(network) is None
    for image in images:
        with torch.no_grad(), pyramid_outputs(network) as outputs:
            evaluate(network, image[None].to(weight), ONE_PASS)
            parts = split_parts(network, outputs[0])
            statistics.add(parts, decoder_terms(network, parts) if with_terms else {})
    return statistics


def decoder_terms(network: PSPNet, parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return each part's term (N, D, h, w) in the decoder's first convolution, without its bias."""
    convolution = network.decoder[0]
    assert isinstance(convolution, nn.Conv2d)
    kernels = convolution.weight.split_with_sizes([*part_widths(network).values()], 1)
    stride, padding, dilation = convolution.stride, convolution.padding, convolution.dilation
    return {
        name: F.conv2d(part, kernel, None, stride, padding, dilation)
        for (name, part), kernel in zip(parts.items(), kernels, strict=True)
    }


def why_no_terms(network: PSPNet) -> str | None:
    """Return why the decoder's first layer is no sum over the pyramid's parts, None if it is.

    Args:
        network: one for which `why_no_parts` is None.
    """
    decoder = network.decoder
    if (reason := why_not_plain(decoder, nn.Sequential)) is not None:
        return f"the decoder is {reason}"
    assert isinstance(decoder, nn.Sequential)
    first = decoder[0]
    if (reason := why_not_plain(first, nn.Conv2d)) is not None:
        return f"the decoder's first layer is {reason}"
    assert isinstance(first, nn.Conv2d)
    if first.groups > 1 or first.padding_mode != "zeros":
        return f"the decoder's first layer is {first}"
    copy = copy_without_memory(network).eval()
    inputs: list[Tensor] = []
    copy.decoder[0].register_forward_pre_hook(lambda _, given: inputs.extend(given))
    with torch.no_grad(), pyramid_outputs(copy) as outputs:
        copy(blank_image(copy, CHECK_SIZE))
    if not inputs or inputs[0] is not outputs[0]:
        return "the decoder's input is not the pyramid's output"
    return None
