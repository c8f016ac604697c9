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
    """A part of the images (N, 3, *crop), at any scale, and its place along both axes."""

    pixels: Tensor
    row: AxisWindow
    column: AxisWindow


@dataclass(frozen=True)
class Grid:
    """All windows over images at one scale, along both axes.

    Args:
        scaled: height and width of the images at that scale.
        before: rows and columns of padding above and left of them.
        rows: the windows along the vertical axis.
        columns: those along the horizontal axis.
    """

    scaled: tuple[int, int]
    before: tuple[int, int]
    rows: list[AxisWindow]
    columns: list[AxisWindow]

    @classmethod
    def of(
        cls,
        scaled: tuple[int, int],
        protocol: Protocol,
        *,
        size: tuple[int, int],
        align_corners: bool,
        device: torch.device,
    ) -> Grid:
        """Return the windows of a protocol that slides; the arguments are those of `windows`."""
        crop = protocol.crop_size
        assert crop is not None
        top, left = (
            (max(side, least) - side) // 2 for side, least in zip(scaled, crop, strict=True)
        )
        rows, columns = (
            _axis_windows(
                neighbors(output, side, align_corners=align_corners),
                before=before,
                starts=window_starts(max(side, least), crop=least, stride=protocol.stride),
                crop=least,
                device=device,
            )
            for output, side, before, least in zip(size, scaled, (top, left), crop, strict=True)
        )
        return cls(scaled, (top, left), rows, columns)


def windows(
    image: Tensor, protocol: Protocol, *, size: tuple[int, int], align_corners: bool
) -> Iterator[Window]:
    """Yield the windows of images at one scale.

    Args:
        image: (N, 3, h, w); where it is smaller than a window, it is padded centrally with 0.
        protocol: with a crop size.
        size: height and width of the images at their own scale, to which the scores are resized.
        align_corners: how the scores are resized.
    """
    assert protocol.crop_size is not None
    padded, _ = pad_centrally(image, multiple=1, smallest=protocol.crop_size)
    grid = Grid.of(
        (image.shape[2], image.shape[3]),
        protocol,
        size=size,
        align_corners=align_corners,
        device=image.device,
    )
    for row in grid.rows:
        for column in grid.columns:
            yield Window(padded[:, :, row.window, column.window], row, column)


def window_starts(side: int, *, crop: int, stride: float) -> list[int]:
    """Return the first pixels of the windows of one axis; the last window ends with the side.

    Source: semseg's tool/test.py, `scale_process`.
    """
    step = math.ceil(crop * stride)
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
