"""Constructor options of a published network, inferred from the keys and shapes of its tensors."""

from __future__ import annotations

from typing import Any

from pspnet.errors import UserError
from pspnet.models.published.weights_file import WeightsFile

BINS = (1, 2, 3, 6)
MAX_COUNT = 64  # of residual blocks in a stage, of levels in a pyramid
BASIC = {(2, 2, 2, 2): 18, (3, 4, 6, 3): 34}  # depth by residual blocks per stage
BOTTLENECK = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152, (3, 30, 48, 8): 269}


def infer_options(weights: WeightsFile) -> dict[str, Any]:
    """Infer the options of a published PSPNet, as far as its keys and shapes determine them.

    Raises:
        UserError: if the ResNet is unknown, or a tensor that determines an option is missing or
            empty.
    """
    classes, width = (_channels(weights, f"decoder.{place}.weight") for place in (4, 0))
    options = {"num_classes": classes, "encoder": _encoder(weights), "decoder_channels": width}
    if not any(_has(weights, f"auxiliary.{place}.weight") for place in (0, 4)):
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
    levels = _count(weights, "pyramid.levels.{}.0.weight", "pyramid.levels.{}.1.weight")
    if bins is None:
        if levels in (0, len(BINS)):
            return BINS[:levels]
        raise UserError(
            f"{weights.path}: has {levels} pyramid levels, and does not say their bins; give bins"
        )
    if len(bins) != levels:
        raise UserError(f"{weights.path}: has {levels} pyramid levels, not bins={list(bins)}")
    return bins


def has_bottlenecks(weights: WeightsFile) -> bool:
    """Tell whether the ResNet's blocks have three convolutions, as from ResNet-50 on."""
    return any(_has(weights, f"encoder.layer1.{block}.conv3.weight") for block in range(MAX_COUNT))


def _encoder(weights: WeightsFile) -> str:
    stages = [f"encoder.layer{stage}.{{}}.conv" for stage in (1, 2, 3, 4)]
    one, two, three, four = (_count(weights, f"{s}1.weight", f"{s}2.weight") for s in stages)
    known = BOTTLENECK if has_bottlenecks(weights) else BASIC
    depth = known.get((one, two, three, four))
    if depth is None:
        complete = ", ".join("-".join(str(n) for n in counts) for counts in known)
        raise UserError(
            f"{weights.path}: has {one}-{two}-{three}-{four} residual blocks; known are {complete}"
        )
    stem = weights.key_map.stem if weights.key_map else ""
    return f"tu-resnet{depth}{stem}" if stem else f"resnet{depth}"


def _count(weights: WeightsFile, *names: str) -> int:
    """Count the blocks or levels that have one of two tensors; a missing one is refused later."""
    present = [i for i in range(MAX_COUNT) if any(_has(weights, name.format(i)) for name in names)]
    return present[-1] + 1 if present else 0


def _has(weights: WeightsFile, key: str) -> bool:
    return weights.key(key) in weights.state


def _channels(weights: WeightsFile, key: str) -> int:
    theirs = weights.key(key)
    shape = tuple(weights.tensor(theirs).shape)
    if not shape or shape[0] == 0:
        line = f"{theirs!r} is {shape}, not of one channel or more; a damaged file"
        raise UserError(f"{weights.path}: {line}")
    return int(shape[0])
