"""Settings of a network from the configuration in a checkpoint of mmsegmentation."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, TypeGuard

from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from pspnet.errors import UserError
from pspnet.models.dilation import Dilation

# configs/_base_/models/pspnet_r50-d8.py, from which the configurations of the release inherit
_INHERITED = {"strides": (1, 2, 1, 1), "dilations": (1, 1, 2, 4), "contract_dilation": True}
# the defaults of mmsegmentation's ResNet
_DEFAULT = {"strides": (1, 2, 2, 2), "dilations": (1, 1, 1, 1), "contract_dilation": False}

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Settings:
    """Settings that do not follow from the names and shapes of the tensors.

    Args:
        dilation: of the backbone.
        bins: of the pyramid; None if the configuration does not say.
        align_corners: of the decode head.
        mean: of R, G and B, 0 to 1.
        std: of R, G and B, 0 to 1.
        crop_size: height and width of the training crops in pixels; None if the configuration
            does not say.
        class_names: in the order of the logits; None if the checkpoint has none.
    """

    dilation: Dilation
    bins: tuple[int, ...] | None
    align_corners: bool
    mean: Color
    std: Color
    crop_size: tuple[int, int] | None
    class_names: tuple[str, ...] | None


def read_settings(meta: Any, *, bottleneck: bool) -> Settings:
    """Read the settings in a checkpoint's `meta`; the published D8 networks' are the defaults.

    The configuration is Python source under "config" or "cfg". It is parsed and never run.

    Args:
        meta: the checkpoint's entry; None if it has none.
        bottleneck: the backbone has bottleneck blocks; a basic block is dilated in its first
            convolution only.

    Raises:
        UserError: if the configuration is not Python source, or this package has no such network.
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
    mean, std = _read_input(config, model)
    return Settings(
        dilation=_read_dilation(backbone, bottleneck=bottleneck),
        bins=bins if _integers(bins) else None,
        align_corners=head.get("align_corners") is True,
        mean=mean,
        std=std,
        crop_size=_crop_size(config.get("crop_size")),
        class_names=tuple(str(name) for name in names) if isinstance(names, list | tuple) else None,
    )


def _read_dilation(backbone: Mapping[str, Any], *, bottleneck: bool) -> Dilation:
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


def _read_input(config: Mapping[str, Any], model: Mapping[str, Any]) -> tuple[Color, Color]:
    """Mean and standard deviation of an RGB image, 0 to 1."""
    said = {
        **_section(config, "img_norm_cfg"),
        **_section(config, "data_preprocessor"),
        **_section(model, "data_preprocessor"),
    }
    if said.get("to_rgb", said.get("bgr_to_rgb", True)) is not True:
        raise UserError("its images are BGR, which no published PSPNet of mmsegmentation takes")
    mean, std = said.get("mean"), said.get("std")
    if mean is not None and not (_three_numbers(mean) and all(0 <= v <= 255 for v in mean)):
        raise UserError(f"mean of the images is {mean}, not three numbers of 0 to 255")
    if std is not None and not (_three_numbers(std) and all(0 < v < inf for v in std)):
        raise UserError(f"std of the images is {std}, not three numbers above 0")
    return (
        IMAGENET_DEFAULT_MEAN if mean is None else _intensities(mean),
        IMAGENET_DEFAULT_STD if std is None else _intensities(std),
    )


def _intensities(values: tuple[float, ...]) -> Color:
    red, green, blue = (round(value / 255, 12) for value in values)
    return red, green, blue


def _crop_size(value: Any) -> tuple[int, int] | None:
    """Height and width; None if the value is missing or more than plain data."""
    sides = (value, value) if type(value) is int else value
    if sides is None:
        return None
    if not (_integers(sides) and len(sides) == 2 and min(sides) > 0):
        raise UserError(f"crop_size={value}: one or two sides of 1 pixel or more are known")
    return sides[0], sides[1]


def _assignments(text: str) -> dict[str, Any]:
    """Return the assignments of plain data in a configuration; later ones update earlier ones."""
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
            config[name] = _updated(config.get(name), _data(statement.value, config))
    return config


def _data(node: ast.expr | None, names: Mapping[str, Any]) -> Any:
    """Evaluate an expression of plain data; None if it is more than that."""
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


def _updated(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: _updated(old.get(key), value) for key, value in new.items()}}


def _section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = config.get(name)
    return value if isinstance(value, dict) else {}


def _integers(values: Any) -> TypeGuard[tuple[int, ...]]:
    return isinstance(values, tuple) and bool(values) and all(type(v) is int for v in values)


def _three_numbers(values: Any) -> TypeGuard[tuple[float, ...]]:
    three = isinstance(values, tuple) and len(values) == 3
    return three and all(type(value) in (int, float) for value in values)
