"""Settings of a network from the configuration in a checkpoint of mmsegmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple, TypeGuard

from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from pspnet.errors import UserError
from pspnet.models.dilation import Dilation
from pspnet.models.published.mmseg_layout import Backbone, read_dilation
from pspnet.models.published.python_source import (
    assignments,
    first_of,
    integers,
    section,
    sides,
)

Color = tuple[float, float, float]
RGB = tuple[int, int, int]


class Windows(NamedTuple):
    """The windows that a published test slides over an image.

    Args:
        crop_size: their height and width in pixels; None if it takes images whole.
        stride: their step down and across in pixels; None with whole images.
    """

    crop_size: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.crop_size is None or self.stride is None:
            return "whole images"
        (height, width), (down, across) = self.crop_size, self.stride
        return f"sliding windows of {height}×{width} at stride {down}×{across}"


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
        class_colors: RGB of each class, 0 to 255; None if the checkpoint has none.
        tested_by: how its scores were measured; None if the configuration does not say.
    """

    dilation: Dilation
    bins: tuple[int, ...] | None
    align_corners: bool
    mean: Color
    std: Color
    crop_size: tuple[int, int] | None
    class_names: tuple[str, ...] | None
    class_colors: tuple[RGB, ...] | None
    tested_by: Windows | None


def read_settings(meta: Any, backbone: Backbone = Backbone()) -> Settings:  # noqa: B008  (frozen)
    """Read the settings in a checkpoint's `meta`; the published D8 networks' are the defaults.

    The configuration is Python source under "config" or "cfg". It is parsed and never run.

    Args:
        meta: the checkpoint's entry; None if it has none.
        backbone: what the tensors tell of it.

    Raises:
        UserError: if the configuration is not Python source, or this package has no such network.
    """
    meta = section({"meta": meta}, "meta")
    text = first_of(str, meta.get("config"), meta.get("cfg"))
    config = {} if text is None else assignments(text)
    model = section(config, "model")
    head, said = section(model, "decode_head"), section(model, "backbone")
    inherits = "_base_" in config or not said
    data = section(meta, "dataset_meta")
    names = first_of((list, tuple), meta.get("CLASSES"), data.get("classes"))
    bins = head.get("pool_scales")
    mean, std = _read_input(config, model)
    return Settings(
        dilation=read_dilation(said, backbone, inherits=inherits),
        bins=bins if integers(bins) else None,
        align_corners=head.get("align_corners") is True,
        mean=mean,
        std=std,
        crop_size=_crop_size(config.get("crop_size")),
        class_names=None if names is None else tuple(str(name) for name in names),
        class_colors=_colors(first_of((list, tuple), meta.get("PALETTE"), data.get("palette"))),
        tested_by=_windows(section(model, "test_cfg")) or _windows(section(config, "test_cfg")),
    )


def _crop_size(value: Any) -> tuple[int, int] | None:
    """Height and width; None if the value is missing or more than plain data."""
    if value is not None and sides(value) is None:
        raise UserError(f"crop_size={value}: one or two sides of 1 pixel or more are known")
    return sides(value)


def _colors(palette: Sequence[Any] | None) -> tuple[RGB, ...] | None:
    """The palette's colors; None if one of them is none."""
    if palette is None:
        return None
    rows = [tuple(row) if isinstance(row, list | tuple) else () for row in palette]
    good = (integers(row) and len(row) == 3 and 0 <= min(row) <= max(row) <= 255 for row in rows)
    return tuple((row[0], row[1], row[2]) for row in rows) if all(good) else None


def _windows(test_cfg: Mapping[str, Any]) -> Windows | None:
    """The windows of `model.test_cfg`, which stood beside `model` in older configurations."""
    crop, stride = (sides(test_cfg.get(name)) for name in ("crop_size", "stride"))
    if test_cfg.get("mode") == "slide" and crop and stride:
        return Windows(crop, stride)
    return Windows() if test_cfg.get("mode") == "whole" else None


def _read_input(config: Mapping[str, Any], model: Mapping[str, Any]) -> tuple[Color, Color]:
    """Mean and standard deviation of an RGB image, 0 to 1."""
    said = {
        **section(config, "img_norm_cfg"),
        **section(config, "data_preprocessor"),
        **section(model, "data_preprocessor"),
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


def _three_numbers(values: Any) -> TypeGuard[tuple[float, ...]]:
    three = isinstance(values, tuple) and len(values) == 3
    return three and all(type(value) in (int, float) for value in values)
