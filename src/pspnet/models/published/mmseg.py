"""What the configuration in a checkpoint of mmsegmentation says of its network."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, TypeGuard

from pspnet.errors import UserError
from pspnet.models.dilation import Dilation

# of configs/_base_/models/pspnet_r50-d8.py, from which the configurations of the release inherit
_INHERITED = {"strides": (1, 2, 1, 1), "dilations": (1, 1, 2, 4), "contract_dilation": True}
# of mmsegmentation's ResNet itself
_DEFAULT = {"strides": (1, 2, 2, 2), "dilations": (1, 1, 1, 1), "contract_dilation": False}
_INPUT = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}


@dataclass(frozen=True)
class Settings:
    """What keys and shapes of a checkpoint do not tell.

    Args:
        dilation: of the backbone.
        bins: of the pyramid; None if the configuration does not say.
        align_corners: of the decode head.
        mean: of R, G and B, 0 to 1.
        std: of R, G and B, 0 to 1.
        crop_size: height and width of the training crops in pixels, None if the configuration
            does not say.
        class_names: in the order of the logits, if the checkpoint has them.
    """

    dilation: Dilation
    bins: tuple[int, ...] | None
    align_corners: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_size: tuple[int, int] | None
    class_names: tuple[str, ...] | None


def read_settings(meta: Any, *, bottleneck: bool) -> Settings:
    """The settings in a checkpoint's `meta`; those of the published D8 networks where it has none.

    Its configuration is Python source under "config" or "cfg", which is parsed and never run.

    Args:
        meta: of the checkpoint, None if it has none.
        bottleneck: whether the backbone has bottleneck blocks; only the first convolution of a
            basic block is dilated.

    Raises:
        ValueError: if the configuration is not Python source, or says what our network cannot be.
    """
    meta = _section({"meta": meta}, "meta")
    text = meta.get("config") or meta.get("cfg")
    config = _assignments(text) if isinstance(text, str) else {}
    model = _section(config, "model")
    head, backbone = _section(model, "decode_head"), _section(model, "backbone")
    inherits = "_base_" in config or not backbone
    backbone = {**(_INHERITED if inherits else _DEFAULT), **backbone}
    names = meta.get("CLASSES") or _section(meta, "dataset_meta").get("classes")
    bins = head.get("pool_scales")
    mean, std = _input(config, model)
    return Settings(
        dilation=_dilation(backbone, bottleneck=bottleneck),
        bins=bins if _integers(bins) else None,
        align_corners=head.get("align_corners") is True,
        mean=mean,
        std=std,
        crop_size=_crop_size(config.get("crop_size")),
        class_names=tuple(str(name) for name in names) if isinstance(names, list | tuple) else None,
    )


def _dilation(backbone: Mapping[str, Any], *, bottleneck: bool) -> Dilation:
    strides, dilations = backbone["strides"], backbone["dilations"]
    line = f"strides={strides} with dilations={dilations}"
    if not (_integers(strides) and _integers(dilations) and len(strides) == len(dilations) == 4):
        raise UserError(f"{line}: four numbers each are known")
    stages: list[tuple[int, ...]] = []
    for stride, value in list(zip(strides, dilations, strict=True))[2:]:
        if stride == 2 and value > 1:
            raise UserError(
                f"{line}: a stage here has a stride or a dilation, not both; give a D8 checkpoint"
            )
        stages.append((1,) if stride == 2 else (value,) if value > 1 else (1, 1))
    if strides[:2] != (1, 2) or dilations[:2] != (1, 1) or not set(strides) <= {1, 2}:
        raise UserError(f"{line}: only the last two stages can differ from a plain ResNet")
    if backbone.get("multi_grid"):
        raise UserError(f"multi_grid={backbone['multi_grid']}: is not known of any published file")
    return Dilation(
        stage4=stages[0],
        stage5=stages[1],
        first_block="half" if backbone["contract_dilation"] else "full",
        convolutions="all" if bottleneck else "first",
        stride_in_1x1=bottleneck and backbone.get("style") == "caffe",
    )


def _input(
    config: Mapping[str, Any], model: Mapping[str, Any]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of an RGB image, 0 to 1."""
    said = {
        **_section(config, "img_norm_cfg"),
        **_section(config, "data_preprocessor"),
        **_section(model, "data_preprocessor"),
    }
    if said.get("to_rgb", said.get("bgr_to_rgb", True)) is not True:
        raise UserError("its images are BGR, which no published PSPNet of mmsegmentation takes")
    mean, std = (_INPUT[key] if said.get(key) is None else said[key] for key in ("mean", "std"))
    if not (_numbers(mean) and all(0 <= value <= 255 for value in mean)):
        raise UserError(f"mean of the images is {mean}, not three numbers of 0 to 255")
    if not (_numbers(std) and all(0 < value < inf for value in std)):
        raise UserError(f"std of the images is {std}, not three numbers above 0")
    return _intensities(mean), _intensities(std)


def _intensities(values: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = (round(value / 255, 12) for value in values)
    return red, green, blue


def _crop_size(value: Any) -> tuple[int, int] | None:
    """Height and width; None for what is no plain data."""
    sides = (value, value) if type(value) is int else value
    if sides is None:
        return None
    if not (_integers(sides) and len(sides) == 2 and min(sides) > 0):
        raise UserError(f"crop_size={value}: one or two sides of 1 pixel or more are known")
    return sides[0], sides[1]


def _assignments(text: str) -> dict[str, Any]:
    """The plain data that a configuration assigns, by name; later assignments add to earlier."""
    # mmcv's older `Config.text` is each file's path and source in turn
    source = re.sub(r"(?m)^\S+\.py$", "", text)
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(
            f"the configuration in its meta is not Python source ({type(error).__name__}); take it "
            "out of meta to load the file as one of the published D8 networks"
        ) from error
    config: dict[str, Any] = {}
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            config[name] = _merged(config.get(name), _data(statement.value, config))
    return config


def _data(node: ast.expr | None, names: Mapping[str, Any]) -> Any:
    """The data that an expression writes down; None for what is more than data."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names.get(name)
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(_data(item, names) for item in items)
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {k.value: _data(v, names) for k, v in pairs if isinstance(k, ast.Constant)}
        case ast.Call(func=ast.Name(id="dict"), keywords=keywords):
            return {word.arg: _data(word.value, names) for word in keywords}
    return None


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def _section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = config.get(name)
    return value if isinstance(value, dict) else {}


def _integers(values: Any) -> TypeGuard[tuple[int, ...]]:
    return isinstance(values, tuple) and bool(values) and all(type(v) is int for v in values)


def _numbers(values: Any) -> TypeGuard[tuple[float, ...]]:
    """Whether these are three numbers, one a color."""
    three = isinstance(values, tuple) and len(values) == 3
    return three and all(type(value) in (int, float) for value in values)
