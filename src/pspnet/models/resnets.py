"""ResNets that timm lacks, registered with it: of the paper, of published checkpoints, and narrow.

They are encoders like timm's own once this module is imported: "tu-resnet18c", "tu-resnet269s".
The narrow ones have half of the channels, for ablations on a CPU.
"""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

# timm asks each of its networks for this; there are no weights to fetch
_UNTRAINED = {"first_conv": "conv1.0", "classifier": "fc"}
NARROW = (32, 64, 128, 256)
NAMES = ("resnet18c", "resnet269s", "resnet10n", "resnet18n", "resnet34n")
default_cfgs = generate_default_cfgs({f"{name}.untrained": _UNTRAINED for name in NAMES})


@register_model
def resnet18c(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-18 with a stem of three 3×3 convolutions, 32, 32 and 64 wide (mmsegmentation)."""
    layout = {"block": BasicBlock, "layers": (2, 2, 2, 2), "stem_width": 32}
    return _deep_stem("resnet18c", pretrained, layout, options)


@register_model
def resnet269s(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-269 (table 3) with the deep stem of the paper's networks, 64, 64 and 128 wide."""
    layout = {"block": Bottleneck, "layers": (3, 30, 48, 8), "stem_width": 64}
    return _deep_stem("resnet269s", pretrained, layout, options)


@register_model
def resnet10n(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-10 of half the channels with a deep stem, 16, 16 and 32 wide."""
    layout = {"block": BasicBlock, "layers": (1, 1, 1, 1), "stem_width": 16, "channels": NARROW}
    return _deep_stem("resnet10n", pretrained, layout, options)


@register_model
def resnet18n(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-18 of half the channels with a deep stem, 16, 16 and 32 wide."""
    layout = {"block": BasicBlock, "layers": (2, 2, 2, 2), "stem_width": 16, "channels": NARROW}
    return _deep_stem("resnet18n", pretrained, layout, options)


@register_model
def resnet34n(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-34 of half the channels with a deep stem, 16, 16 and 32 wide."""
    layout = {"block": BasicBlock, "layers": (3, 4, 6, 3), "stem_width": 16, "channels": NARROW}
    return _deep_stem("resnet34n", pretrained, layout, options)


def _deep_stem(
    name: str, pretrained: bool, layout: dict[str, Any], options: dict[str, Any]
) -> nn.Module:
    # timm starts the last BN of each block at 0, and a short training from scratch leaves it there:
    # the blocks would be their shortcuts, and their dilations without effect
    arguments = {"stem_type": "deep", "zero_init_last": False, **layout, **options}
    network: nn.Module = build_model_with_cfg(ResNet, name, pretrained, **arguments)
    return network
