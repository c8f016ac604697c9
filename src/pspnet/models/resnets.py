"""ResNets of the paper and of published checkpoints that timm lacks, registered with it.

They are encoders like timm's own once this module is imported: "tu-resnet18c", "tu-resnet269s".
"""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

# timm asks each of its networks for this; there are no weights to fetch
_UNTRAINED = {"first_conv": "conv1.0", "classifier": "fc"}
default_cfgs = generate_default_cfgs(
    {"resnet18c.untrained": _UNTRAINED, "resnet269s.untrained": _UNTRAINED}
)


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


def _deep_stem(
    name: str, pretrained: bool, layout: dict[str, Any], options: dict[str, Any]
) -> nn.Module:
    arguments = {"stem_type": "deep", **layout, **options}
    network: nn.Module = build_model_with_cfg(ResNet, name, pretrained, **arguments)
    return network
