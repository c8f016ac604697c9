"""Dilation layouts of mmsegmentation's backbones, by the strides and dilations of their stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pspnet.errors import UserError
from pspnet.models.dilation import Dilation
from pspnet.models.published.backbones import Family
from pspnet.models.published.python_source import integers

# configs/_base_/models/pspnet_r50-d8.py, from which the configurations of the release inherit
_INHERITED = {"strides": (1, 2, 1, 1), "dilations": (1, 1, 2, 4), "contract_dilation": True}
# the defaults of mmsegmentation's ResNet
_DEFAULT = {"strides": (1, 2, 2, 2), "dilations": (1, 1, 1, 1), "contract_dilation": False}
# configs/mobilenet_v2, and the defaults of its class
_MOBILENET = {"strides": (1, 2, 2, 1, 1, 1, 1), "dilations": (1, 1, 1, 2, 2, 4, 4)}
_MOBILENET_DEFAULT = {"strides": (1, 2, 2, 2, 1, 2, 1), "dilations": (1,) * 7}
_MOBILENET_BLOCKS = (1, 2, 3, 4, 3, 3, 1)  # of its stages (Sandler et al. 2018, table 2)


class Backbone(NamedTuple):
    """A backbone as its tensors tell it.

    Args:
        family: the kind of network.
        bottleneck: has bottleneck blocks; a basic block is dilated in its first convolution only.
    """

    family: Family = "ResNet"
    bottleneck: bool = True


def read_dilation(said: Mapping[str, Any], kind: Backbone, *, inherits: bool) -> Dilation:
    """Return the layout of a backbone.

    Args:
        said: `model.backbone` of the configuration.
        kind: what its tensors tell.
        inherits: what the configuration does not say is the published networks', not the class's.

    Raises:
        UserError: if this package has no such network.
    """
    if kind.family == "MobileNetV2":
        return _mobilenet({**(_MOBILENET if inherits else _MOBILENET_DEFAULT), **said})
    backbone = {**(_INHERITED if inherits else _DEFAULT), **said}
    strides, dilations = backbone["strides"], backbone["dilations"]
    line = _line(backbone)
    if not (integers(strides) and integers(dilations) and len(strides) == len(dilations) == 4):
        raise UserError(f"{line}: four numbers each are known")
    if strides[:2] != (1, 2) or dilations[:2] != (1, 1) or not set(strides) <= {1, 2}:
        raise UserError(f"{line}: only the last two stages can differ from a plain ResNet")
    if backbone.get("multi_grid"):
        raise UserError(f"multi_grid={backbone['multi_grid']}: is not known of any published file")
    if kind.family == "ResNeSt":
        _check_resnest(backbone)
    keeps = strides[2:] == (2, 2) and max(dilations) > 1
    stages = [_stage(*pair, keeps, line) for pair in zip(strides[2:], dilations[2:], strict=True)]
    return Dilation(
        stage4=stages[0],
        stage5=stages[1],
        first_block="half" if backbone["contract_dilation"] else "full",
        convolutions="all" if kind.bottleneck else "first",
        stride_in_1x1=kind.bottleneck and backbone.get("style") == "caffe",
        keep_strides=keeps,
        average_pools="none" if kind.family == "ResNeSt" else "dense",
    )


def _stage(stride: int, value: int, keeps: bool, line: str) -> tuple[int, ...]:
    if keeps:
        return (value,)
    if stride == 2 and value > 1:
        raise UserError(f"{line}: one stage keeps its stride and is dilated, the other has none")
    return (1,) if stride == 2 else (value,) if value > 1 else (1, 1)


def _check_resnest(backbone: Mapping[str, Any]) -> None:
    """Refuse what a ResNeSt computes otherwise.

    It strides behind its 3×3, in a pool, so the 3×3 of a stage's first block belongs, by its size,
    to the stage before, and has the dilation of that one.
    """
    if backbone.get("avg_down_stride") is False or backbone.get("style") == "caffe":
        raise UserError("a ResNeSt that strides without pooling is not known of any published file")
    if max(backbone["dilations"]) == 1:
        return
    stage4, stage5 = backbone["dilations"][2:]
    contracts = backbone["contract_dilation"]
    first4, first5 = (max(1, d // 2) if contracts else d for d in (stage4, stage5))
    if (first4, first5) != (1, stage4) or backbone["strides"][3] == 2:
        raise UserError(
            f"{_line(backbone)}: of a ResNeSt, dilations 2 and 4 with contract_dilation are known"
        )


def _mobilenet(backbone: Mapping[str, Any]) -> Dilation:
    """Return the layout of a MobileNetV2, of which each stage's first block alone is dilated."""
    strides, dilations = backbone["strides"], backbone["dilations"]
    line = _line(backbone)
    if not (integers(strides) and integers(dilations) and len(strides) == len(dilations) == 7):
        raise UserError(f"{line}: seven numbers each are known of a MobileNetV2")
    first, (stride4, second, stride5, last) = strides[:3], strides[3:]
    others = (first, second, last) != ((1, 2, 2), 1, 1) or not {stride4, stride5} <= {1, 2}
    if others or dilations[:3] != (1, 1, 1) or min(dilations) < 1:
        raise UserError(f"{line}: only its last four stages can differ from a plain MobileNetV2")
    if backbone.get("act_cfg", {"type": "ReLU6"}) != {"type": "ReLU6"}:
        raise UserError(f"act_cfg={backbone['act_cfg']}: only ReLU6 is known of a MobileNetV2")
    stages: list[tuple[int, ...]] = []
    for stride, places in ((stride4, (3, 4)), (stride5, (5, 6))):
        blocks = [(dilations[at], *(1,) * (_MOBILENET_BLOCKS[at] - 1)) for at in places]
        values = (*blocks[0], *blocks[1])
        if stride == 2 and max(values) > 1:
            raise UserError(f"{line}: a stage here has a stride or a dilation, not both")
        stages.append((1,) if stride == 2 else values)
    return Dilation(stage4=stages[0], stage5=stages[1])


def _line(backbone: Mapping[str, Any]) -> str:
    return f"strides={backbone['strides']} with dilations={backbone['dilations']}"
