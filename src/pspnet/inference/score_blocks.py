"""Sliding windows over one image of any size, whose scores are held for a block at a time.

The image is cut into strips of columns. Within a strip the windows are taken from the top down, and
the rows that no later window reaches are given out and forgotten. Windows across the border of two
strips are computed for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pspnet.inference.protocols import Protocol
from pspnet.inference.sliding_window import AxisWindow, Grid, Window
from pspnet.inference.window_scores import add_scores, scores_align_corners, softmax_
from pspnet.models.pspnet import PSPNet
from pspnet.ops.chunked_logits import neighbors

MEMORY = 3 * 2**28  # bytes of the scores of a block, and four times those of its windows
ROWS_AT_ONCE = 64  # of a scaled image, which bounds the memory of the pixels behind them
# returns rows and columns of an image, normalized, (3, rows, columns), on the network's device
Reader = Callable[[slice, slice], Tensor]


@dataclass(frozen=True)
class ScoreBlock:
    """A rectangle of an image, and the scores (C, rows, columns) in it, averaged over all scales.

    They are overwritten when the next block is asked for.
    """

    rows: slice
    columns: slice
    scores: Tensor


def score_blocks(
    network: PSPNet,
    read: Reader,
    size: tuple[int, int],
    protocol: Protocol,
    *,
    memory: int = MEMORY,
    multiple: int = 1,
) -> Iterator[ScoreBlock]:
    """Yield the scores of all pixels, as `inference.class_scores.evaluate` gives them at once.

    Args:
        network: in evaluation mode.
        read: gives the pixels of a part of the image.
        size: height and width of the image.
        protocol: one that slides.
        memory: bytes of scores at once; more where one window needs more.
        multiple: blocks begin at multiples of so many columns, which suits files with tiles.
    """
    device = next(network.parameters()).device
    grids = _grids(network, size, protocol, device)
    rows = [(row, place) for place, grid in enumerate(grids) for row in grid.rows]
    rows = [(row, place) for row, place in rows if row.target.stop]
    rows.sort(key=lambda pair: pair[0].target.start)
    height = max(row.target.stop - row.target.start for row, _ in rows)
    at_once = _windows_at_once(network, protocol, memory=memory // 4)
    apart = len(grids) if protocol.averages_slides else 1  # logits that are averaged apart
    most = max(memory // (4 * apart * network.num_classes * height * multiple), 1) * multiple
    strips = -(-size[1] // most)
    width = -(-size[1] // (strips * multiple)) * multiple
    for left in range(0, size[1], width):
        columns = slice(left, min(left + width, size[1]))
        shape = (apart, network.num_classes, height, columns.stop - left)
        total = torch.zeros(shape, device=device)
        top = 0
        for row, place in rows:
            if (done := row.target.start) > top:
                yield _block(total, slice(top, done), columns, protocol=protocol)
                _shift(total, done - top)
                top = done
            reach = row.within(slice(top, top + height))
            part = total[place : place + 1] if apart > 1 else total
            for batch in _batches(read, size, row, reach, grids[place], columns, at_once):
                add_scores(part, network, batch, protocol=protocol)
        yield _block(total, slice(top, size[0]), columns, protocol=protocol)


def _grids(
    network: PSPNet, size: tuple[int, int], protocol: Protocol, device: torch.device
) -> list[Grid]:
    """Return the windows over each image that a protocol slides over."""
    scales = protocol.sizes(*size)
    align_corners = scores_align_corners(network, protocol)
    return [
        Grid.of(
            scales[index],
            protocol,
            size=size,
            align_corners=align_corners,
            device=device,
            flipped=flipped,
        )
        for index, flipped in protocol.slides
    ]


def _windows_at_once(network: PSPNet, protocol: Protocol, *, memory: int) -> int:
    """Return how many windows go through the network at once, with their flips."""
    height, width = protocol.crop_size or (1, 1)
    each = 4 * network.num_classes * height * width * (2 if protocol.mirrors_windows else 1)
    return min(protocol.batch, max(1, memory // each))


def _block(total: Tensor, rows: slice, columns: slice, *, protocol: Protocol) -> ScoreBlock:
    done = total[:, :, : rows.stop - rows.start]
    if protocol.averages_slides:
        return ScoreBlock(rows, columns, softmax_(done).mean(0))
    return ScoreBlock(rows, columns, done[0].div_(len(protocol.slides)))


def _shift(total: Tensor, rows: int) -> None:
    """Move scores (N, C, H, W) up by some rows, and begin new ones below."""
    for scores in total.flatten(0, 1):  # class by class, as each is copied
        scores[: len(scores) - rows] = scores[rows:].clone()
        scores[len(scores) - rows :] = 0


def _batches(
    read: Reader,
    size: tuple[int, int],
    row: AxisWindow,
    reach: AxisWindow,
    grid: Grid,
    columns: slice,
    at_once: int,
) -> Iterator[list[Window]]:
    """Yield the windows of one row that reach a strip, as many as go through the network at once.

    Args:
        read, size: of `score_blocks`.
        row: the windows' place along the vertical axis.
        reach: the same, counted from the first row of scores that are held.
        grid: of all windows at this scale.
        columns: the strip.
        at_once: windows of a batch.
    """
    places = [(column, column.within(columns)) for column in grid.columns]
    places = [(c, within) for c, within in places if within.target.stop > within.target.start]
    left, right = places[0][0].window.start, places[-1][0].window.stop
    pixels = _padded(read, size, grid, row.window, slice(left, right))
    for first in range(0, len(places), at_once):
        yield [
            Window(
                pixels[:, :, :, c.window.start - left : c.window.stop - left],
                reach,
                within,
                grid.flipped,
            )
            for c, within in places[first : first + at_once]
        ]


def _padded(read: Reader, size: tuple[int, int], grid: Grid, rows: slice, columns: slice) -> Tensor:
    """Return a part (1, 3, rows, columns) of the padded image at a grid's scale."""
    inside, padding = [], []
    for part, before, side in zip((rows, columns), grid.before, grid.scaled, strict=True):
        start, stop = max(part.start - before, 0), min(part.stop - before, side)
        inside.append(slice(start, stop))
        padding.append((start + before - part.start, part.stop - stop - before))
    pixels = _scaled(read, size, grid.scaled, inside[0], inside[1])
    return F.pad(pixels, (*padding[1], *padding[0]))[None]


def _scaled(
    read: Reader, size: tuple[int, int], scaled: tuple[int, int], rows: slice, columns: slice
) -> Tensor:
    """Return a part (3, rows, columns) of the image resized bilinearly to height and width."""
    if scaled == size:
        return read(rows, columns)
    parts = [
        slice(first, min(first + ROWS_AT_ONCE, rows.stop))
        for first in range(rows.start, rows.stop, ROWS_AT_ONCE)
    ]
    return torch.cat([_resized(read, size, scaled, part, columns) for part in parts], dim=1)


def _resized(
    read: Reader, size: tuple[int, int], scaled: tuple[int, int], rows: slice, columns: slice
) -> Tensor:
    found = []
    for part, source, output in zip((rows, columns), size, scaled, strict=True):
        near = neighbors(output, source, align_corners=False)
        found.append((near.low[part], near.high[part], near.weight[part].float()))
    (low, high, down), (left, right, across) = found
    top, first = int(low[0]), int(left[0])
    pixels = read(slice(top, int(high[-1]) + 1), slice(first, int(right[-1]) + 1))
    device = pixels.device
    pixels = pixels[:, :, (left - first).to(device)].lerp(
        pixels[:, :, (right - first).to(device)], across.to(device)
    )
    return pixels[:, (low - top).to(device)].lerp(
        pixels[:, (high - top).to(device)], down.to(device)[:, None]
    )
