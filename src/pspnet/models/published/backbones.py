"""Backbones of published checkpoints: the encoder of this package that each of them is."""

from __future__ import annotations

from typing import Literal

from pspnet.errors import UserError, visible
from pspnet.models.published.weights_file import WeightsFile

Family = Literal["ResNet", "ResNeSt", "MobileNetV2"]
MAX_COUNT = 64  # of residual blocks in a stage, of levels in a pyramid
Depths = dict[tuple[int, ...], str]
BASIC: Depths = {(2, 2, 2, 2): "18", (3, 4, 6, 3): "34"}  # depth by residual blocks per stage
BOTTLENECK: Depths = {
    (3, 4, 6, 3): "50",
    (3, 4, 23, 3): "101",
    (3, 8, 36, 3): "152",
    (3, 30, 48, 8): "269",
}
RESNEST: Depths = {(3, 4, 6, 3): "50d", (3, 4, 23, 3): "101e", (3, 24, 36, 3): "200e"}
# beginnings of tensors' names of other networks of mmsegmentation
OTHERS = {
    "neck.": "a neck between its backbone and its head (JPU)",
    "backbone.encoder.0.0.convs.": "a U-Net backbone (BasicConvBlock)",
    "backbone.stage2.": "an HRNet backbone",
    "backbone.downsample_layers.": "a ConvNeXt backbone",
    "backbone.patch_embed.": "a transformer backbone (patch_embed)",
    "backbone.layers.": "a transformer backbone (layers)",
}
KNOWN = "ResNet, ResNetV1c, ResNeSt and MobileNetV2"


def family(weights: WeightsFile) -> Family:
    """Return the kind of network that the backbone of a PSPNet of mmsegmentation is.

    Raises:
        UserError: naming a backbone that has no encoder in this package.
    """
    other = next((name for start, name in OTHERS.items() if _begins(weights, start)), None)
    if other is None and _begins(weights, "backbone.layer1.0."):
        # convolutions in one sequence, or the 3×3 of a bottleneck split
        if _begins(weights, "backbone.layer1.0.conv."):
            return "MobileNetV2"
        return "ResNeSt" if _begins(weights, "backbone.layer1.0.conv2.conv.") else "ResNet"
    if other is None:
        first = next(key for key in weights.state if key.startswith("backbone."))
        other = f"an unknown backbone (its first tensor is {visible(first)!r})"
    raise UserError(f"{weights.path}: has {other}, which has no encoder here; known are {KNOWN}")


def encoder_name(weights: WeightsFile) -> str:
    """Return the name of the encoder that a file's backbone is.

    Raises:
        UserError: if it is none, or a ResNet of another depth.
    """
    mmsegmentation = weights.key_map is not None and weights.key_map.name == "mmsegmentation"
    kind = family(weights) if mmsegmentation else "ResNet"
    if kind == "MobileNetV2":
        return "tu-mobilenetv2_100"
    stages = [f"encoder.layer{stage}.{{}}.conv" for stage in (1, 2, 3, 4)]
    second = "2.conv.weight" if kind == "ResNeSt" else "2.weight"
    counts = tuple(count(weights, f"{stage}1.weight", f"{stage}{second}") for stage in stages)
    known = RESNEST if kind == "ResNeSt" else BOTTLENECK if has_bottlenecks(weights) else BASIC
    if counts not in known:
        complete = ", ".join("-".join(str(n) for n in blocks) for blocks in known)
        blocks = "-".join(str(n) for n in counts)
        raise UserError(f"{weights.path}: has {blocks} residual blocks; known are {complete}")
    if kind == "ResNeSt":
        return f"tu-resnest{known[counts]}"
    stem = weights.key_map.stem if weights.key_map else ""
    return f"tu-resnet{known[counts]}{stem}" if stem else f"resnet{known[counts]}"


def has_bottlenecks(weights: WeightsFile) -> bool:
    """Tell whether the ResNet's blocks have three convolutions, as from ResNet-50 on."""
    return any(has(weights, f"encoder.layer1.{block}.conv3.weight") for block in range(MAX_COUNT))


def count(weights: WeightsFile, *names: str) -> int:
    """Count the blocks or levels that have one of two tensors; a missing one is refused later."""
    present = [i for i in range(MAX_COUNT) if any(has(weights, name.format(i)) for name in names)]
    return present[-1] + 1 if present else 0


def has(weights: WeightsFile, key: str) -> bool:
    """Return whether a file has one of this package's tensors."""
    return weights.key(key) in weights.state


def _begins(weights: WeightsFile, start: str) -> bool:
    return any(key.startswith(start) for key in weights.state)
