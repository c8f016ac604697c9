"""Everything that is measured on one network, as data.

from pspnet.tools.explain.analysis import explain
explanation = explain(network, images)   # (N, 3, H, W), normalized
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from pspnet.callbacks.costs import count_flops, count_parameters
from pspnet.files.text import counted
from pspnet.inference.protocols import Protocol
from pspnet.models.pspnet import PSPNet
from pspnet.tools.explain.activation_share import collect_statistics, why_no_terms
from pspnet.tools.explain.effective_receptive_field import gradient_energies
from pspnet.tools.explain.layer_table import Layer, trace_layers
from pspnet.tools.explain.progress import Say, estimated, silent
from pspnet.tools.explain.pyramid_ablation import Ablation, Pair, ablate
from pspnet.tools.explain.pyramid_parts import ONE_PASS, contributions, why_no_parts
from pspnet.tools.explain.variants import (
    THIS_NETWORK,
    Cost,
    layouts,
    reduction_costs,
    why_edited,
)


@dataclass(frozen=True)
class Contributions:
    """The logits of an image, (C, H, W), and what each part adds to the predicted class, (H, W)."""

    logits: Tensor
    maps: dict[str, Tensor]


@dataclass
class Explanation:
    """The measurements on one network; `omitted` says which do not apply to it, and why.

    Args:
        size: height and width of the image that layers and costs are for.
        parameters: number of the network's without the auxiliary head.
        flops: operations of inference on one image, as the network's forward computes it.
        layers: every layer, by dilation layout; the first is this network's own.
        energies: distribution of the middle units' gradients over the image, by layout and output.
        shares: root mean square of each part's term in the decoder's first convolution, and of its
            deviation from its mean.
        ablation: scores without parts of the pyramid's output.
        contributions: of each image that was to be shown.
        reduction: costs with and without dimension reduction.
        omitted: reasons by section: "layouts", "effective receptive fields", "activation shares",
            "pyramid ablation", "contributions", "dimension reduction".
    """

    size: tuple[int, int]
    parameters: int
    flops: int
    layers: dict[str, list[Layer]]
    energies: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    shares: dict[str, tuple[float, float]] = field(default_factory=dict)
    ablation: Ablation | None = None
    contributions: list[Contributions] = field(default_factory=list)
    reduction: dict[bool, Cost] = field(default_factory=dict)
    omitted: dict[str, str] = field(default_factory=dict)


def explain(
    network: PSPNet,
    images: Sequence[Tensor] | Tensor = (),
    *,
    size: tuple[int, int] | None = None,
    labeled: Iterable[Pair] | None = None,
    shown: Sequence[Tensor] | None = None,
    protocol: Protocol = ONE_PASS,
    say: Say = silent,
) -> Explanation:
    """Measure what the parts of a network do, on the network as it stands.

    What the network's edits make meaningless is left out, with a sentence in `omitted`.

    Args:
        network: a PSPNet or a subclass, with any of its parts replaced, hooked or parametrized; it
            is left as it was, but in evaluation mode.
        images: normalized, (3, H, W) each, of one size, over which gradients are averaged. Without
            any, what needs trained weights is left out.
        size: height and width for layers and costs; None is the images'.
        labeled: images with labels (H, W) of train ids and 255, iterated over twice, which the
            ablation evaluates and the parts' means are taken over; None takes the means over
            `images` and leaves the ablation out.
        shown: images (3, H, W) whose contributions are computed; None is `images`.
        protocol: how the ablation evaluates images.
        say: takes a line at the start of each part.
    """
    network.eval()
    size = size or (images[0].shape[1], images[0].shape[2])
    edit = why_edited(network)
    say(f"layers: shapes, parameters and operations at {size[0]}×{size[1]} pixels …")
    networks, refused = ({THIS_NETWORK: network}, {}) if edit else layouts(network)
    found = Explanation(
        size=size,
        parameters=count_parameters(network, inference=True),
        flops=count_flops(network, size=size),
        layers={
            name: trace_layers(other, size=size, training_only=other is network)
            for name, other in networks.items()
        },
        omitted=dict(refused),
    )
    if edit:
        found.omitted["layouts"] = found.omitted["dimension reduction"] = edit
    elif network.pyramid.bins:
        found.reduction = reduction_costs(network, size=size)
    else:
        found.omitted["dimension reduction"] = "the network has no bins"
    if len(images):
        kinds = counted(len(networks), "layout")
        say(f"receptive fields: gradients of {counted(len(images), 'image')} in {kinds} …")
        _measure_fields(found, networks, images)
        _measure_pyramid(found, network, labeled, images, shown, protocol, say)
    return found


def _measure_fields(
    found: Explanation, networks: dict[str, PSPNet], images: Sequence[Tensor] | Tensor
) -> None:
    for name, network in networks.items():
        only = None if name == THIS_NETWORK else ("stage 5",)
        found.energies[name] = gradient_energies(network, [*images], only=only)
    if "stage 5" not in found.energies[THIS_NETWORK]:
        encoder = type(networks[THIS_NETWORK].encoder).__name__
        found.omitted["effective receptive fields"] = (
            f"{encoder} returns no list of feature maps that depend on the image"
        )


def _measure_pyramid(
    found: Explanation,
    network: PSPNet,
    labeled: Iterable[Pair] | None,
    images: Sequence[Tensor] | Tensor,
    shown: Sequence[Tensor] | None,
    protocol: Protocol,
    say: Say,
) -> None:
    if reason := why_no_parts(network):
        for section in ("activation shares", "pyramid ablation", "contributions"):
            found.omitted[section] = reason
        return
    say("pyramid: the mean of each part over the images …")
    sources = images if labeled is None else (image for image, _ in estimated(labeled, say))
    statistics = collect_statistics(network, sources)
    means = statistics.means()
    found.shares = statistics.sizes()
    if reason := why_no_terms(network):
        found.omitted["activation shares"] = reason
    if labeled is None:
        found.omitted["pyramid ablation"] = "there are no labels"
    else:
        say("pyramid: IoU without each part, some passes per image; the longest of all parts …")
        found.ablation = ablate(network, estimated(labeled, say), means, protocol)
    say("pyramid: what each part adds to the predicted class, as a map …")
    weight = next(network.parameters())
    for image in images if shown is None else shown:
        logits, maps = contributions(network, image.to(weight), means)
        found.contributions.append(Contributions(logits, maps))
