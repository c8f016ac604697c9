"""Evaluation protocols: the published test procedures, and overrides of their fields.

- `whole`: one forward pass over the image at its own size.
- `paper-ss`: semseg's test.py at one scale. The long side is resized to `base_size`, windows of
  `crop_size` slide at 2/3 of their size, and probabilities are averaged over windows and flips.
- `paper-ms`: the same at six scales.
- `mmseg-ss`: mmsegmentation's single-scale test: the whole image in one pass, fitted into 2048×512
  where the paper's base size is 512. Networks trained on crops of 769 see sliding windows of an
  image fitted into 2049×1025.
- `mmseg-ms`: mmsegmentation's test of whole images at six scales, each with its flip.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from pspnet.errors import UserError

ProtocolName = Literal["whole", "paper-ss", "paper-ms", "mmseg-ss", "mmseg-ms"]
SMALLEST, LARGEST = 1, 16_384  # pixels of a side that is resized to or evaluated at once
SIX_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # of the Caffe release, semseg and mmsegmentation


@dataclass(frozen=True)
class Protocol:
    """A complete procedure from an image to class scores.

    Args:
        name: printed and stored beside every score.
        crop_size: height and width of the sliding window; smaller images are padded centrally to
            it with the mean color. None evaluates the whole image.
        stride: step of the sliding window relative to its size, rounded up to pixels.
        scales: sizes at which an image is evaluated, relative to its base size.
        base_size: long side in pixels of an image at scale 1; None keeps the image's own size.
        fit: long and short side that an image at scale 1 is fitted into, in place of `base_size`.
        mirror: evaluate the horizontal flip too.
        average: the quantity averaged over windows, flips and scales: "softmax" for class
            probabilities, "scores" for logits.
        batch: windows that go through the network at once, with their flips; changes no score.
    """

    name: str
    crop_size: tuple[int, int] | None = None
    stride: float = 2 / 3
    scales: tuple[float, ...] = (1.0,)
    base_size: int | None = None
    fit: tuple[int, int] | None = None
    mirror: bool = False
    average: Literal["softmax", "scores"] = "softmax"
    batch: int = 4

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Height and width of an image of `height`×`width` at each scale."""
        return [self._size(height, width, scale) for scale in self.scales]

    def _size(self, height: int, width: int, scale: float) -> tuple[int, int]:
        long, short = max(height, width), min(height, width)
        if self.fit is not None:  # as mmcv rounds
            factor = min(int(self.fit[0] * scale) / long, int(self.fit[1] * scale) / short)
            return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))
        side = max(1, round(scale * (self.base_size or long)))  # as semseg rounds
        other = max(1, round(side / long * short))
        return (side, other) if height > width else (other, side)


@dataclass(frozen=True)
class ProtocolOverrides:
    """Overrides of individual fields of the named protocol; None keeps the protocol's value.

    Args:
        crop_size: height and width of the sliding window in pixels.
        stride: step of the sliding window relative to its size, above 0 and at most 1.
        scales: sizes at which an image is evaluated, relative to its base size.
        base_size: long side in pixels of an image at scale 1; 0 keeps the image's own size.
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
    mirror: bool | None = None
    average: Literal["softmax", "scores"] | None = None
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.crop_size is not None and not _sides(*self.crop_size):
            raise UserError(
                f"inference.crop_size={list(self.crop_size)}: give pixels, {SMALLEST} to {LARGEST}"
            )
        if self.stride is not None and not 0 < self.stride <= 1:
            raise UserError(f"inference.stride={self.stride}: give a share above 0 and up to 1")
        scales = self.scales
        if scales is not None and not (scales and all(0 < scale <= 16 for scale in scales)):
            raise UserError(f"inference.scales={list(scales)}: give factors above 0 and up to 16")
        if self.base_size and not _sides(self.base_size):
            raise UserError(
                f"inference.base_size={self.base_size}: give pixels, {SMALLEST} to {LARGEST}, or 0"
            )
        if self.batch is not None and not 1 <= self.batch <= 4096:
            raise UserError(f"inference.batch={self.batch}: give 1 to 4096 windows")


def _sides(*pixels: int) -> bool:
    return all(SMALLEST <= side <= LARGEST for side in pixels)


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
        UserError: for an unknown name, if the sliding window has no known size, for "mmseg-ms" with
            crops of 769, and for a stride without windows.
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
    """mmsegmentation's tests: whole images; sliding windows for networks trained on 769 crops."""
    multi_scale = name.endswith("-ms")
    if crop_size == (769, 769) and multi_scale:
        raise UserError(
            "protocol=mmseg-ms with crop_size=[769, 769]: mmsegmentation averages logits over "
            "windows and probabilities over scales there; use mmseg-ss or paper-ms"
        )
    if crop_size == (769, 769):
        return Protocol(name, crop_size=crop_size, fit=(2049, 1025), average="scores")
    scales = SIX_SCALES if multi_scale else (1.0,)
    fit = (2048, 512) if base_size == 512 else None
    return Protocol(name, scales=scales, fit=fit, mirror=multi_scale)


def _overridden(protocol: Protocol, overrides: ProtocolOverrides) -> Protocol:
    given: dict[str, Any] = {key: v for key, v in asdict(overrides).items() if v is not None}
    if "base_size" in given:
        given |= {"base_size": given["base_size"] or None, "fit": None}
    given = {key: value for key, value in given.items() if value != getattr(protocol, key)}
    label = ", ".join(f"{key}={value}" for key, value in given.items() if key != "batch")
    name = f"{protocol.name}, {label}" if label else protocol.name
    changed = replace(protocol, name=name, **given)
    if "stride" in given and changed.crop_size is None:
        raise UserError(
            f"inference.stride={changed.stride}: protocol={protocol.name} has no windows; give "
            "inference.crop_size too"
        )
    return changed
