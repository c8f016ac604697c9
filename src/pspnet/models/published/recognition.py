"""What keys and shapes of a published checkpoint say of its network."""

from __future__ import annotations

from typing import Any

from pspnet.errors import UserError
from pspnet.models.published.key_maps import Weights

BINS = (1, 2, 3, 6)
MOST = 64  # residual blocks of a stage, levels of a pyramid
BASIC = {(2, 2, 2, 2): 18, (3, 4, 6, 3): 34}  # depth by residual blocks a stage
BOTTLENECK = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152, (3, 30, 48, 8): 269}


def read_options(weights: Weights) -> dict[str, Any]:
    """Options of the PSPNet that a file of somebody else's holds, as far as its shapes say them.

    Raises:
        ValueError: for a ResNet that is not known, or without a tensor, of one channel or more,
            that says the width or number of classes.
    """
    classes, width = (_channels(weights, f"decoder.{place}.weight") for place in (4, 0))
    options = {"num_classes": classes, "encoder": _encoder(weights), "decoder_channels": width}
    if not any(_has(weights, f"auxiliary.{place}.weight") for place in (0, 4)):
        return {**options, "auxiliary": False}
    narrow = _channels(weights, "auxiliary.0.weight")
    return {**options, "auxiliary": True, "auxiliary_channels": narrow}


def check_bins(weights: Weights, bins: tuple[int, ...] | None) -> tuple[int, ...]:
    """The bins of a file whose keys only say how many there are; None for those of the papers.

    Raises:
        ValueError: if there are as many as nobody published, or others than `bins`.
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


def has_bottlenecks(weights: Weights) -> bool:
    """Whether the ResNet's blocks have three convolutions, as from ResNet-50 on."""
    return any(_has(weights, f"encoder.layer1.{block}.conv3.weight") for block in range(MOST))


def _encoder(weights: Weights) -> str:
    stages = [f"encoder.layer{stage}.{{}}.conv" for stage in (1, 2, 3, 4)]
    one, two, three, four = (_count(weights, f"{s}1.weight", f"{s}2.weight") for s in stages)
    known = BOTTLENECK if has_bottlenecks(weights) else BASIC
    depth = known.get((one, two, three, four))
    if depth is None:
        complete = ", ".join("-".join(str(n) for n in counts) for counts in known)
        raise UserError(
            f"{weights.path}: has {one}-{two}-{three}-{four} residual blocks; known are {complete}"
        )
    stem = weights.layout.stem if weights.layout else ""
    return f"tu-resnet{depth}{stem}" if stem else f"resnet{depth}"


def _count(weights: Weights, *names: str) -> int:
    """How many there are by the names of two parts: one that is missing is refused by its name."""
    present = [i for i in range(MOST) if any(_has(weights, name.format(i)) for name in names)]
    return present[-1] + 1 if present else 0


def _has(weights: Weights, key: str) -> bool:
    return weights.key(key) in weights.state


def _channels(weights: Weights, key: str) -> int:
    theirs = weights.key(key)
    shape = tuple(weights.tensor(theirs).shape)
    if not shape or shape[0] == 0:
        line = f"{theirs!r} is {shape}, not of one channel or more; a damaged file"
        raise UserError(f"{weights.path}: {line}")
    return int(shape[0])
