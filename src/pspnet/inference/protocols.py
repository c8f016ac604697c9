"""Evaluation protocols: the published test procedures, and overrides of their fields.

- `whole`: one forward pass over the image at its own size.
- `paper-ss`: semseg's test.py at one scale. The long side is resized to `base_size`, windows of
  `crop_size` slide at 2/3 of their size, and probabilities are averaged over windows and flips.
- `paper-ms`: the same at six scales.
- `mmseg-ss`: mmsegmentation's single-scale test: the whole image in one pass, fitted into 2048×512
  where the paper's base size is 512. Networks trained on crops of 769 see sliding windows of an
  image fitted into 2049×1025, others where `inference.crop_size` is given.
- `mmseg-ms`: the same at six scales, each with its flip, as version 0.x of mmsegmentation tests:
  the factors multiply the sides that images are fitted into.
- `mmseg-tta`: the same as version 1.x's `tools/test.py --tta` tests: the factors multiply the
  image's own sides.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from pspnet.errors import UserError

ProtocolName = Literal["whole", "paper-ss", "paper-ms", "mmseg-ss", "mmseg-ms", "mmseg-tta"]
SMALLEST, LARGEST = 1, 16_384  # pixels of a side that is resized to or evaluated at once
SIX_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # of the Caffe release, semseg and mmsegmentation


@dataclass(frozen=True)
class Protocol:
    """A complete procedure from an image to class scores.

    Args:
        name: printed and stored beside every score.
        crop_size: height and width of the sliding window. None evaluates the whole image.
        stride: step of the sliding window: up to 1 relative to its size, rounded up to pixels,
            above that in pixels.
        scales: sizes at which an image is evaluated, relative to its base size.
        base_size: long side in pixels of an image at scale 1; None keeps the image's own size.
        fit: long and short side that an image at scale 1 is fitted into, in place of `base_size`;
            "own" for those of the image itself.
        mirror: evaluate the horizontal flip too.
        average: the quantity averaged over windows, flips and scales: "softmax" for class
            probabilities, "scores" for logits.
        rules: "semseg" pads images centrally with the mean color to the window, and to the 8n + 1
            pixels per side that aligned corners need; each window is flipped by itself; scores are
            resized as images are. "mmseg" takes smaller images as they are, and flips the image
            before windows slide over it; logits are averaged over windows and resized as the
            network resizes features, and `average` holds for flips and scales.
        batch: windows that go through the network at once, with their flips; changes no score.
    """

    name: str
    crop_size: tuple[int, int] | None = None
    stride: float = 2 / 3
    scales: tuple[float, ...] = (1.0,)
    base_size: int | None = None
    fit: tuple[int, int] | Literal["own"] | None = None
    mirror: bool = False
    average: Literal["softmax", "scores"] = "softmax"
    rules: Literal["semseg", "mmseg"] = "semseg"
    batch: int = 4

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Height and width of an image of `height`×`width` at each scale."""
        return [self._size(height, width, scale) for scale in self.scales]

    def _size(self, height: int, width: int, scale: float) -> tuple[int, int]:
        long, short = max(height, width), min(height, width)
        if self.fit is not None:  # as mmcv rounds, its versions 1 and 2 in two ways
            sides = (long, short) if self.fit == "own" else self.fit
            rounding = 0.5 if self.fit == "own" else 0.0
            box = [int(side * scale + rounding) for side in sides]
            factor = min(box[0] / long, box[1] / short)
            return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))
        side = max(1, round(scale * (self.base_size or long)))  # as semseg rounds
        other = max(1, round(side / long * short))
        return (side, other) if height > width else (other, side)

    def step(self, crop: int) -> int:
        """Pixels between two windows of `crop` pixels along an axis."""
        return math.ceil(crop * self.stride) if self.stride <= 1 else int(self.stride)

    @property
    def mirrors_windows(self) -> bool:
        """True where each window goes through the network with its own flip."""
        return self.mirror and self.rules == "semseg"

    @property
    def slides(self) -> list[tuple[int, bool]]:
        """Index of the scale and flip of each image that windows slide over."""
        flips = (False, True) if self.mirror and not self.mirrors_windows else (False,)
        return [(index, flip) for index in range(len(self.scales)) for flip in flips]

    @property
    def averages_slides(self) -> bool:
        """True where the mean logits of all windows come before their softmax."""
        return self.rules == "mmseg" and self.average == "softmax"


@dataclass(frozen=True)
class ProtocolOverrides:
    """Overrides of individual fields of the named protocol; None keeps the protocol's value.

    Args:
        crop_size: height and width of the sliding window in pixels.
        stride: step of the sliding window: up to 1 relative to its size, above that in pixels.
        scales: sizes at which an image is evaluated, relative to its base size.
        base_size: long side in pixels of an image at scale 1; 0 keeps the image's own size.
        fit: long and short side in pixels that an image at scale 1 is fitted into.
        mirror: evaluate the horizontal flip too.
        average: the quantity averaged: "softmax" for class probabilities, "scores" for logits.
        batch: windows that go through the network at once, with their flips; changes no score.

    Raises:
        UserError: if a value is out of its range.
    """

    crop_size: tuple[int, int] | None = None
    stride: float | None = None
    scales: tuple[float, ...] | None = None
    base_size: int | None = None
    fit: tuple[int, int] | None = None
    mirror: bool | None = None
    average: Literal["softmax", "scores"] | None = None
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.crop_size is not None and not _sides(*self.crop_size):
            raise UserError(
                f"inference.crop_size={list(self.crop_size)}: give pixels, {SMALLEST} to {LARGEST}"
            )
        if self.stride is not None and not _is_stride(self.stride):
            raise UserError(
                f"inference.stride={self.stride}: give a share above 0 and up to 1, or whole pixels"
            )
        scales = self.scales
        if scales is not None and not (scales and all(0 < scale <= 16 for scale in scales)):
            raise UserError(f"inference.scales={list(scales)}: give factors above 0 and up to 16")
        if self.base_size and not _sides(self.base_size):
            raise UserError(
                f"inference.base_size={self.base_size}: give pixels, {SMALLEST} to {LARGEST}, or 0"
            )
        if self.fit is not None and not (_sides(*self.fit) and self.fit[0] >= self.fit[1]):
            raise UserError(
                f"inference.fit={list(self.fit)}: give long and short side in pixels, long first, "
                f"{SMALLEST} to {LARGEST}"
            )
        if self.fit is not None and self.base_size is not None:
            raise UserError(
                f"inference.fit={list(self.fit)} with inference.base_size={self.base_size}: both "
                "are the size at scale 1; give one"
            )
        if self.batch is not None and not 1 <= self.batch <= 4096:
            raise UserError(f"inference.batch={self.batch}: give 1 to 4096 windows")


def _sides(*pixels: int) -> bool:
    return all(SMALLEST <= side <= LARGEST for side in pixels)


def _is_stride(stride: float) -> bool:
    return 0 < stride <= 1 or (1 < stride <= LARGEST and stride == int(stride))


def resolve(
    name: ProtocolName,
    overrides: ProtocolOverrides,
    *,
    crop_size: tuple[int, int] | None,
    base_size: int | None,
) -> Protocol:
    """Return the named protocol for a data set, with the overrides in its fields and its name.

    Args:
        name: the protocol's name.
        overrides: fields to replace; the name lists them, as in "paper-ss, mirror=False".
        crop_size: height and width of the training crops.
        base_size: the data set's long side in the paper's tests, None if it has none.

    Raises:
        UserError: for an unknown name, if the sliding window has no known size, for a stride
            without windows, and for one that leaves pixels out.
    """
    if name not in get_args(ProtocolName):
        raise UserError(f"protocol={name}: give one of {', '.join(get_args(ProtocolName))}")
    if name == "whole":
        protocol = Protocol(name, average="scores")
    elif name in ("paper-ss", "paper-ms"):
        protocol = _paper(name, crop_size=crop_size, base_size=base_size)
    else:
        protocol = _mmseg(name, crop_size=crop_size, base_size=base_size)
    return _overridden(protocol, overrides)


def _paper(name: str, *, crop_size: tuple[int, int] | None, base_size: int | None) -> Protocol:
    """semseg's tool/test.py: sliding windows and flips, at one scale or six."""
    if crop_size is None:
        raise UserError(f"protocol={name}: its windows need crop_size, that of the training")
    scales = SIX_SCALES if name.endswith("-ms") else (1.0,)
    return Protocol(name, crop_size=crop_size, scales=scales, base_size=base_size, mirror=True)


def _mmseg(name: str, *, crop_size: tuple[int, int] | None, base_size: int | None) -> Protocol:
    """mmsegmentation's tests: whole images; sliding windows for networks trained on 769 crops.

    Source: mmseg/models/segmentors/encoder_decoder.py and seg_tta.py; for the sizes,
    `MultiScaleFlipAug` of version 0.x, and `tta_pipeline` of configs/_base_/datasets in 1.x.
    """
    slides = crop_size == (769, 769)
    fit: tuple[int, int] | Literal["own"] | None
    if name == "mmseg-tta":
        fit = "own"
    elif slides:
        fit = (2049, 1025)
    else:
        fit = (2048, 512) if base_size == 512 else None
    single = name == "mmseg-ss"
    return Protocol(
        name,
        crop_size=crop_size if slides else None,
        scales=(1.0,) if single else SIX_SCALES,
        fit=fit,
        mirror=not single,
        average="scores" if single and slides else "softmax",
        rules="mmseg",
    )


def _overridden(protocol: Protocol, overrides: ProtocolOverrides) -> Protocol:
    given: dict[str, Any] = {key: v for key, v in asdict(overrides).items() if v is not None}
    if "base_size" in given:
        given |= {"base_size": given["base_size"] or None, "fit": None}
    if given.get("stride", 0) > 1:
        given["stride"] = int(given["stride"])
    given = {key: value for key, value in given.items() if value != getattr(protocol, key)}
    label = ", ".join(f"{key}={value}" for key, value in given.items() if key != "batch")
    name = f"{protocol.name}, {label}" if label else protocol.name
    changed = replace(protocol, name=name, **given)
    if "stride" in given and changed.crop_size is None:
        raise UserError(
            f"inference.stride={changed.stride}: protocol={protocol.name} has no windows; give "
            "inference.crop_size too"
        )
    if changed.crop_size is not None and changed.stride > min(changed.crop_size):
        raise UserError(
            f"inference.stride={changed.stride}: windows of {list(changed.crop_size)} pixels would "
            f"leave some out; give up to {min(changed.crop_size)}"
        )
    return changed
