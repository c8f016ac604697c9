"""Constructor options of a published network, inferred from the keys and shapes of its tensors."""

from __future__ import annotations

from math import inf, nextafter
from typing import Any

from pspnet.errors import UserError
from pspnet.models.published.backbones import count, encoder_name, has
from pspnet.models.published.weights_file import WeightsFile
from pspnet.models.pyramid_pooling import WIDEST

BINS = (1, 2, 3, 6)


def infer_options(weights: WeightsFile) -> dict[str, Any]:
    """Infer the options of a published PSPNet, as far as its keys and shapes determine them.

    Raises:
        UserError: if the backbone is unknown, or a tensor that determines an option is missing or
            empty.
    """
    encoder = encoder_name(weights)
    classes, width = (_channels(weights, f"decoder.{place}.weight") for place in (4, 0))
    options: dict[str, Any] = {"num_classes": classes, "encoder": encoder}
    options |= {"decoder_channels": width, **_level_width(weights)}
    if not any(has(weights, f"auxiliary.{place}.weight") for place in (0, 4)):
        return {**options, "auxiliary": False}
    narrow = _channels(weights, "auxiliary.0.weight")
    return {**options, "auxiliary": True, "auxiliary_channels": narrow}


def published_bins(weights: WeightsFile, bins: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the bins of a file; its keys only tell their number.

    Args:
        weights: the file.
        bins: as given by the user; None takes those of the papers.

    Raises:
        UserError: if the number of bins is not that of the papers, or not that of `bins`.
    """
    levels = count(weights, "pyramid.levels.{}.0.weight", "pyramid.levels.{}.1.weight")
    if bins is None:
        if levels in (0, len(BINS)):
            return BINS[:levels]
        raise UserError(
            f"{weights.path}: has {levels} pyramid levels, and does not say their bins; give bins"
        )
    if len(bins) != levels:
        raise UserError(f"{weights.path}: has {levels} pyramid levels, not bins={list(bins)}")
    return bins


def _level_width(weights: WeightsFile) -> dict[str, float]:
    """Return the width of mmsegmentation's levels where it is not a share of the features.

    It is the head's own `channels`; of a ResNet's features that is the paper's quarter.
    """
    assert weights.key_map is not None
    level = weights.state.get("decode_head.psp_modules.0.1.conv.weight")
    if weights.key_map.name != "mmsegmentation" or level is None or level.ndim != 4:
        return {}
    width, features = level.shape[:2]
    if not (width and features) or width > WIDEST * features:
        return {}  # refused by its shape
    if width == features // count(weights, "pyramid.levels.{}.0.weight"):
        return {}
    share = width / features
    return {"level_width": share if int(features * share) == width else nextafter(share, inf)}


def _channels(weights: WeightsFile, key: str) -> int:
    theirs = weights.key(key)
    shape = tuple(weights.tensor(theirs).shape)
    if not shape or shape[0] == 0:
        line = f"{theirs!r} is {shape}, not of one channel or more; a damaged file"
        raise UserError(f"{weights.path}: {line}")
    return int(shape[0])
