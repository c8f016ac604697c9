"""Run lengths of COCO: the pixels of a mask column by column, in turns outside and inside."""

from __future__ import annotations

import numpy as np
from pycocotools import mask

from pspnet.data.datasets.exports.json_fields import Field

_FIRST, _BITS, _MORE, _SIGN = 48, 5, 32, 16  # of the characters of compressed run lengths
_LONGEST = 7  # characters per number, which hold 34 bits and a sign


def polygon_runs(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the run lengths of a polygon's pixels, int64, as COCO's own tools draw it.

    Args:
        points: corners [x, y], (N, 2).
        size: height and width of the image.
    """
    (runs,) = mask.frPyObjects([points.ravel()], *size)
    numbers = _numbers(runs["counts"])
    assert numbers is not None
    return numbers


def read_runs(segmentation: Field, size: tuple[int, int]) -> np.ndarray:
    """Return the run lengths in a mask `{"size": [height, width], "counts": …}`, int64.

    Counts are a list, or a text of COCO's compression.

    Raises:
        UserError: if they do not cover the image exactly. `pycocotools.mask.decode` would fill the
            rest from uninitialized memory.
    """
    counts, given = segmentation.get("counts"), segmentation.get("size")
    if given.value != [*size]:
        raise given.error(f"the image is [{size[0]}, {size[1]}], height and width")
    if isinstance(counts.value, str):
        runs = _numbers(counts.value.encode("utf-8", "replace"))
    else:
        runs = np.array([it.integer() for it in counts.items()], np.int64)
    pixels = size[0] * size[1]
    right = runs is not None and runs.min(initial=0) >= 0 and runs.max(initial=0) <= pixels
    if runs is None or not right or runs.sum() != pixels:
        raise counts.error(f"give run lengths of {pixels} pixels in total")
    return runs


def draw_runs(columns: np.ndarray, runs: np.ndarray, train_id: int) -> None:
    """Write a train id to the pixels inside.

    Args:
        columns: the label column by column, (W · H,) uint8, changed in place.
        runs: run lengths.
        train_id: the value to write.
    """
    ends = np.cumsum(runs).tolist()
    for start, end in zip(ends[0::2], ends[1::2], strict=False):
        columns[start:end] = train_id


def _numbers(text: bytes) -> np.ndarray | None:
    """Return the run lengths that a compressed text holds, or None if it holds none.

    A character has 5 bits of a number, low ones first, and a sixth that says whether more follow.
    From the fourth on, a number is the difference to the last but one. See `rleFrString` in
    github.com/cocodataset/cocoapi, common/maskApi.c.
    """
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - _FIRST
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & _MORE:
        return None
    last = np.flatnonzero(codes & _MORE == 0)
    first = np.append(0, last[:-1] + 1)
    lengths = last - first + 1
    if lengths.max() > _LONGEST:
        return None
    shifts = _BITS * (np.arange(len(codes)) - np.repeat(first, lengths))
    numbers = np.add.reduceat((codes & 31) << shifts, first)
    numbers -= np.where(codes[last] & _SIGN, 1 << _BITS * lengths, 0)
    for start in (1, 2):
        numbers[start::2] = np.cumsum(numbers[start::2])
    return numbers
