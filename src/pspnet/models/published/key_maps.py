"""Key maps of published checkpoints: from tensor names of this package to those of a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Literal

FormatName = Literal["semseg", "mmsegmentation", "caffe", "pspnet"]
Rules = tuple[tuple[str, str], ...]

ENCODER = r"encoder\.(?:model\.)?"  # smp keeps timm's networks behind `model.`
_SEMSEG: Rules = (
    (ENCODER + r"conv1\.(\d)\.", r"layer0.\1."),
    (ENCODER + r"bn1\.", "layer0.7."),
    (ENCODER, ""),
    (r"pyramid\.levels\.(\d+)\.0\.", r"ppm.features.\1.1."),
    (r"pyramid\.levels\.(\d+)\.1\.", r"ppm.features.\1.2."),
    (r"decoder\.", "cls."),
    (r"auxiliary\.", "aux."),
)
_MMSEGMENTATION: Rules = (
    (ENCODER, "backbone."),
    (r"pyramid\.levels\.(\d+)\.0\.", r"decode_head.psp_modules.\1.1.conv."),
    (r"pyramid\.levels\.(\d+)\.1\.", r"decode_head.psp_modules.\1.1.bn."),
    (r"decoder\.0\.", "decode_head.bottleneck.conv."),
    (r"decoder\.1\.", "decode_head.bottleneck.bn."),
    (r"decoder\.4\.", "decode_head.conv_seg."),
    (r"auxiliary\.0\.", "auxiliary_head.convs.0.conv."),
    (r"auxiliary\.1\.", "auxiliary_head.convs.0.bn."),
    (r"auxiliary\.4\.", "auxiliary_head.conv_seg."),
)
_V1C: Rules = (
    (ENCODER + r"conv1\.(\d)\.", r"backbone.stem.\1."),
    (ENCODER + r"bn1\.", "backbone.stem.7."),
    *_MMSEGMENTATION,
)


def _mobilenet_v2() -> Rules:
    """Rules for mmsegmentation's MobileNetV2, whose blocks are sequences of units."""
    places = {"conv_pw": "0.conv", "bn1": "0.bn", "conv_dw": "1.conv", "bn2": "1.bn"}
    places |= {"conv_pwl": "2.conv", "bn3": "2.bn"}
    first = {"conv_dw": "0.conv", "bn1": "0.bn", "conv_pw": "1.conv", "bn2": "1.bn"}
    rules = [
        (
            ENCODER + rf"blocks\.{stage}\.(\d+)\.{ours}\.",
            rf"backbone.layer{stage + 1}.\1.conv.{theirs}.",
        )
        for stage in range(7)
        for ours, theirs in (places if stage else first).items()  # the first does not expand
    ]
    stem = (
        (ENCODER + r"conv_stem\.", "backbone.conv1.conv."),
        (ENCODER + r"bn1\.", "backbone.conv1.bn."),
    )
    return (*stem, *rules, *_MMSEGMENTATION)


_PSPNET: Rules = (("", "network."),)


def _renamed(key: str, *, rules: Rules) -> str:
    """Replace the beginning of `key` by the first rule that matches it."""
    for beginning, replacement in rules:
        if match := re.match(beginning, key):
            return match.expand(replacement) + key[match.end() :]
    return key


@dataclass(frozen=True)
class KeyMap:
    """Map from this package's tensor names to those of a published PSPNet.

    Args:
        name: the format of the published files.
        key: returns the published name of one of this package's tensors.
        heads: beginnings of the published names that are not the encoder's.
        stem: suffix of timm's ResNet with the published stem: "s" for 64-64-128, "c" for 32-32-64,
            none for a 7×7 convolution.
    """

    name: FormatName
    key: Callable[[str], str]
    heads: tuple[str, ...]
    stem: Literal["s", "c", ""] = ""


SEMSEG = KeyMap("semseg", partial(_renamed, rules=_SEMSEG), ("ppm.", "cls.", "aux."), "s")
_HEADS = ("decode_head.", "auxiliary_head.")
MMSEGMENTATION = KeyMap("mmsegmentation", partial(_renamed, rules=_MMSEGMENTATION), _HEADS)
MMSEGMENTATION_V1C = KeyMap("mmsegmentation", partial(_renamed, rules=_V1C), _HEADS, "c")
MMSEGMENTATION_MOBILENET_V2 = KeyMap(
    "mmsegmentation", partial(_renamed, rules=_mobilenet_v2()), _HEADS
)
PSPNET = KeyMap(
    "pspnet",
    partial(_renamed, rules=_PSPNET),
    tuple(f"network.{head}." for head in ("pyramid", "decoder", "auxiliary")),
)


def recognize(keys: Collection[str]) -> KeyMap | None:
    """Return the key map that fits a file's tensor names; None if they are no PSPNet's."""
    beginnings = {"layer0.0.": SEMSEG, "backbone.stem.": MMSEGMENTATION_V1C}
    beginnings |= {"backbone.layer1.0.conv.": MMSEGMENTATION_MOBILENET_V2}
    beginnings |= {"backbone.": MMSEGMENTATION, "network.": PSPNET}
    for beginning, key_map in beginnings.items():
        if any(key.startswith(beginning) for key in keys):
            return key_map
    return None
