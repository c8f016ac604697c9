"""The forward passes that a protocol makes for one image, and the one that is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from pspnet.inference.protocols import Protocol
from pspnet.inference.sliding_window import Grid


@dataclass(frozen=True)
class Passes:
    """Forward passes of one image under a protocol.

    Args:
        total: images that go through the network, flips included.
        scale: at which the shown one sees the image.
        scaled: height and width of the image at that scale.
        windows: rows and columns of each window at that scale, in pixels of the image, negative in
            the padding; the image itself where the protocol does not slide.
        shown: index of the window that is shown, not flipped.
        call: index of the network's call that holds it.
        row: its place in that call's batch.
    """

    total: int
    scale: float
    scaled: tuple[int, int]
    windows: list[tuple[slice, slice]]
    shown: int
    call: int
    row: int


def passes_of(protocol: Protocol, size: tuple[int, int]) -> Passes:
    """Return the passes of `inference.class_scores` for an image of height and width `size`.

    Shown is the middle window at the scale that is nearest to 1.
    """
    sizes, flips = protocol.sizes(*size), 1 + protocol.mirror
    nearest = min(range(len(sizes)), key=lambda k: abs(protocol.scales[k] - 1))
    scale, scaled = protocol.scales[nearest], sizes[nearest]
    if protocol.crop_size is None:
        whole = (slice(0, scaled[0]), slice(0, scaled[1]))
        return Passes(len(sizes) * flips, scale, scaled, [whole], 0, call=nearest * flips, row=0)
    grids = [
        Grid.of(each, protocol, size=size, align_corners=True, device=torch.device("cpu"))
        for each in sizes
    ]
    counts = [len(grid.rows) * len(grid.columns) for grid in grids]
    rows, columns = (
        [_moved(part.window, -before) for part in parts]
        for parts, before in zip(
            (grids[nearest].rows, grids[nearest].columns), grids[nearest].before, strict=True
        )
    )
    windows = [(row, column) for row in rows for column in columns]
    shown = (len(rows) // 2) * len(columns) + len(columns) // 2
    if protocol.rules == "semseg":  # windows of all scales fill the batches
        call, place = divmod(sum(counts[:nearest]) + shown, protocol.batch)
    else:
        call, place = divmod(shown, protocol.batch)
        call += flips * sum(math.ceil(count / protocol.batch) for count in counts[:nearest])
    return Passes(sum(counts) * flips, scale, scaled, windows, shown, call=call, row=place)


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)
