"""Sliding windows over images at one scale, and the way their scores come back to the images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pspnet.inference.protocols import Protocol
from pspnet.inference.single_pass import pad_centrally
from pspnet.ops.chunked_logits import Neighbors, neighbors


@dataclass(frozen=True)
class AxisWindow:
    """The share of one window in each output pixel along one axis: resize over overlap.

    Each output pixel takes its two neighbors in the scaled image, each divided by the number of
    windows that cover it. A neighbor outside of this window has weight 0.
    """

    window: slice  # pixels of the padded image
    target: slice  # output pixels that the window reaches
    low: Tensor  # (pixels,) places in the window
    high: Tensor
    low_weight: Tensor  # (pixels,)
    high_weight: Tensor | None  # None where the image has its own size

    def resize(self, score: Tensor, *, axis: int) -> Tensor:
        """Resize scores of the window along `axis` (2 or 3) to the output pixels it reaches."""
        shape = (-1, 1) if axis == 2 else (-1,)
        result = score.index_select(axis, self.low).mul_(self.low_weight.view(shape))
        if self.high_weight is not None:
            result.addcmul_(score.index_select(axis, self.high), self.high_weight.view(shape))
        return result

    def within(self, target: slice) -> AxisWindow:
        """Return the part that reaches output pixels of `target`, counted from its first one."""
        start = min(max(self.target.start, target.start), target.stop)
        stop = max(min(self.target.stop, target.stop), start)
        part = slice(start - self.target.start, stop - self.target.start)
        high = None if self.high_weight is None else self.high_weight[part]
        return AxisWindow(
            self.window,
            slice(start - target.start, stop - target.start),
            self.low[part],
            self.high[part],
            self.low_weight[part],
            high,
        )


@dataclass(frozen=True)
class Window:
    """A part of the images (N, 3, *crop), at any scale, and its place along both axes.

    `flipped` is True where the network is to see its horizontal flip.
    """

    pixels: Tensor
    row: AxisWindow
    column: AxisWindow
    flipped: bool = False


@dataclass(frozen=True)
class Grid:
    """All windows over images at one scale, along both axes.

    Args:
        scaled: height and width of the images at that scale.
        before: rows and columns of padding above and left of them.
        rows: the windows along the vertical axis.
        columns: those along the horizontal axis.
        flipped: windows slide over the flipped images; their places are those in the images.
    """

    scaled: tuple[int, int]
    before: tuple[int, int]
    rows: list[AxisWindow]
    columns: list[AxisWindow]
    flipped: bool = False

    @classmethod
    def of(
        cls,
        scaled: tuple[int, int],
        protocol: Protocol,
        *,
        size: tuple[int, int],
        align_corners: bool,
        device: torch.device,
        flipped: bool = False,
    ) -> Grid:
        """Return the windows of a protocol that slides; the arguments are those of `windows`."""
        crop = window_size(scaled, protocol)
        padded = [max(side, least) for side, least in zip(scaled, crop, strict=True)]
        before = [(side - own) // 2 for side, own in zip(padded, scaled, strict=True)]
        rows, columns = (
            window_starts(padded[axis], crop=crop[axis], step=protocol.step(full))
            for axis, full in enumerate(protocol.crop_size or crop)
        )
        if flipped:
            columns = [padded[1] - crop[1] - start for start in columns]
        down, across = (
            _axis_windows(
                neighbors(size[axis], scaled[axis], align_corners=align_corners),
                before=before[axis],
                starts=sorted(starts),
                crop=crop[axis],
                device=device,
            )
            for axis, starts in enumerate((rows, columns))
        )
        return cls(scaled, (before[0], before[1]), down, across, flipped)


def window_size(scaled: tuple[int, int], protocol: Protocol) -> tuple[int, int]:
    """Return height and width of the windows over images of height and width `scaled`."""
    crop = protocol.crop_size
    assert crop is not None
    if protocol.rules == "semseg":
        return crop
    return min(crop[0], scaled[0]), min(crop[1], scaled[1])


def windows(
    image: Tensor,
    protocol: Protocol,
    *,
    size: tuple[int, int],
    align_corners: bool,
    flipped: bool = False,
) -> Iterator[Window]:
    """Yield the windows of images at one scale.

    Args:
        image: (N, 3, h, w); where it is smaller than a window, it is padded centrally with 0, or
            the windows are as small, see `Protocol.rules`.
        protocol: with a crop size.
        size: height and width of the images at their own scale, to which the scores are resized.
        align_corners: how the scores are resized.
        flipped: slide over the images' horizontal flips.
    """
    scaled = (image.shape[2], image.shape[3])
    padded, _ = pad_centrally(image, multiple=1, smallest=window_size(scaled, protocol))
    grid = Grid.of(
        scaled,
        protocol,
        size=size,
        align_corners=align_corners,
        device=image.device,
        flipped=flipped,
    )
    for row in grid.rows:
        for column in grid.columns:
            yield Window(padded[:, :, row.window, column.window], row, column, flipped)


def window_starts(side: int, *, crop: int, step: int) -> list[int]:
    """Return the first pixels of the windows of one axis; the last window ends with the side.

    Source: semseg's tool/test.py, `scale_process`, and mmsegmentation's `slide_inference`, which
    agree.
    """
    number = math.ceil((side - crop) / step) + 1
    return [min(index * step, side - crop) for index in range(number)]


def _axis_windows(
    found: Neighbors, *, before: int, starts: list[int], crop: int, device: torch.device
) -> list[AxisWindow]:
    """Return one axis's windows; the image begins `before` pixels into the padded one."""
    count = torch.zeros(starts[-1] + crop)
    for start in starts:
        count[start : start + crop] += 1
    low, high, weight = found.low + before, found.high + before, found.weight
    axis_windows = []
    for start in starts:
        has_low = (low >= start) & (low < start + crop)
        has_high = (high >= start) & (high < start + crop) & (weight > 0)
        reached = (has_low | has_high).nonzero().flatten()
        target = slice(int(reached[0]), int(reached[-1]) + 1) if len(reached) else slice(0, 0)
        upper = (weight * has_high / count[high])[target]
        axis_windows.append(
            AxisWindow(
                window=slice(start, start + crop),
                target=target,
                low=(low[target] - start).clamp(0, crop - 1).to(device),
                high=(high[target] - start).clamp(0, crop - 1).to(device),
                low_weight=((1 - weight) * has_low / count[low])[target].float().to(device),
                high_weight=upper.float().to(device) if upper.any() else None,
            )
        )
    return axis_windows
