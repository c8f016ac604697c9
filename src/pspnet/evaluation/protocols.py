"""Evaluation protocols: how an image becomes class scores, by the name that goes with a mIoU."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pspnet.errors import UserError

ProtocolName = Literal["whole", "paper-ss", "paper-ms", "mmseg-ss", "mmseg-ms"]
SIX_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # of the Caffe release, semseg and mmsegmentation


@dataclass(frozen=True)
class Protocol:
    """One way to evaluate images, complete.

    Args:
        name: what it is called beside every score.
        crop_size: height and width of the windows that an image is cut into, and padded to
            centrally with the mean color where it is smaller; None evaluates it whole.
        stride: step from window to window as a share of the window, rounded up to pixels.
        scales: sizes at which an image is evaluated, relative to its base size.
        base_size: long side in pixels of an image at scale 1; None leaves it its own size.
        fit: long and short side that an image at scale 1 just fits into, in place of `base_size`.
        mirror: whether the mirrored image is evaluated too.
        average: what is averaged over windows, mirror images and scales: class probabilities, or
            the scores before the softmax.
        batch: windows that go through the network at once, with their mirrored copies; without
            effect on the scores.
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
class Changes:
    """What is done in another way than the protocol's name says; None leaves it as it is.

    Args:
        crop_size: height and width of the windows in pixels.
        stride: step from window to window as a share of the window, above 0, at most 1.
        scales: sizes at which an image is evaluated, relative to its base size.
        base_size: long side in pixels of an image at scale 1; 0 is its own size.
        mirror: whether the mirrored image is evaluated too.
        average: class probabilities or scores before the softmax.
        batch: windows that go through the network at once, with their mirrored copies; without
            effect on the scores.

    Raises:
        ValueError: if a value is outside of its range.
    """

    crop_size: tuple[int, int] | None = None
    stride: float | None = None
    scales: tuple[float, ...] | None = None
    base_size: int | None = None
    mirror: bool | None = None
    average: Literal["softmax", "scores"] | None = None
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.crop_size is not None and min(self.crop_size) < 1:
            raise UserError(f"inference.crop_size={list(self.crop_size)}: give pixels, 1 or more")
        if self.stride is not None and not 0 < self.stride <= 1:
            raise UserError(f"inference.stride={self.stride}: give a share above 0 and up to 1")
        if self.scales is not None and (not self.scales or min(self.scales) <= 0):
            raise UserError(f"inference.scales={list(self.scales)}: give factors above 0")
        if self.base_size is not None and self.base_size < 0:
            raise UserError(f"inference.base_size={self.base_size}: give pixels, or 0")
        if self.batch is not None and self.batch < 1:
            raise UserError(f"inference.batch={self.batch}: give 1 or more windows")


def resolve(
    name: ProtocolName,
    changes: Changes,
    *,
    crop_size: tuple[int, int] | None,
    base_size: int | None,
) -> Protocol:
    """The protocol of a name on a data set.

    "whole" is one pass over the image as it is. "paper-ss" and "paper-ms" are semseg's test
    procedure at one scale and at six: long side to `base_size`, windows of `crop_size` at 2/3 of
    it, mirrored copy, probabilities averaged. "mmseg-ss" and "mmseg-ms" are mmsegmentation's: whole
    images, fitted into 2048×512 where the paper's base size is 512, at one scale, and at six
    with mirrored copy; networks trained on crops of 769 see windows of images in 2049×1025.

    Args:
        name: of the protocol.
        changes: what is done in another way; the name says so, as in "paper-ss, mirror=False".
        crop_size: height and width of the training crops.
        base_size: the data set's long side in the paper's tests, None if there is none.

    Raises:
        ValueError: if there are windows to be cut and no crop size is known, or for "mmseg-ms" of
            crops of 769.
    """
    multi = name.endswith("-ms")
    scales = SIX_SCALES if multi else (1.0,)
    if name == "whole":
        protocol = Protocol(name, average="scores")
    elif name in ("paper-ss", "paper-ms"):
        protocol = Protocol(
            name, crop_size=_known(crop_size, name), scales=scales, base_size=base_size, mirror=True
        )
    elif crop_size == (769, 769) and multi:
        raise UserError(
            "protocol=mmseg-ms with crop_size=[769, 769]: mmsegmentation averages scores over "
            "windows and probabilities over scales there; use mmseg-ss or paper-ms"
        )
    elif crop_size == (769, 769):
        protocol = Protocol(name, crop_size=crop_size, fit=(2049, 1025), average="scores")
    else:
        fit = (2048, 512) if base_size == 512 else None
        protocol = Protocol(name, scales=scales, fit=fit, mirror=multi)
    return _changed(protocol, changes)


def _known(crop_size: tuple[int, int] | None, name: str) -> tuple[int, int]:
    if crop_size is None:
        raise UserError(f"protocol={name}: its windows need crop_size, that of the training")
    return crop_size


def _changed(protocol: Protocol, changes: Changes) -> Protocol:
    given: dict[str, Any] = {key: v for key, v in asdict(changes).items() if v is not None}
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
