"""From images of any size to class scores of that size, whole or by windows, scales and mirror."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from pspnet.evaluation.protocols import Protocol
from pspnet.evaluation.whole import Coarse, coarse, pad_centrally, whole
from pspnet.models.pspnet import PSPNet
from pspnet.ops.chunked_logits import Taps, taps

CLASSES_AT_ONCE = 16  # bounds what the spreading of windows needs beside them


def evaluate(network: PSPNet, image: Tensor, protocol: Protocol) -> Tensor:
    """Class scores of images under a protocol; their argmax over the classes is the prediction.

    Memory is that of the scores and one batch of windows, with their mirrored copies and the scaled
    images that they are of: each window is spread over the scores at the image's own size as it
    comes.

    Args:
        network: in evaluation mode.
        image: (N, 3, H, W), normalized, so that the mean color is 0.
        protocol: the protocol, see `resolve`.

    Returns:
        (N, C, H, W) float32: mean probabilities, or mean scores if the protocol averages those.

    Source: semseg's tool/test.py for windows; mmsegmentation's whole mode, which takes the softmax
    after the scores have come back to the image's own size.
    """
    size = (image.shape[2], image.shape[3])
    if _one_pass(protocol, size):
        scores = whole(network, image)
        return scores.softmax(1) if protocol.average == "softmax" else scores
    scales = protocol.sizes(*size)
    total = image.new_zeros((len(image), network.num_classes, *size), dtype=torch.float32)
    if protocol.crop_size is None:
        for scaled in scales:
            total += _whole(network, _resized(image, scaled), size=size, protocol=protocol)
    else:
        # semseg resizes scores as it does images, mmsegmentation as its network does features
        align_corners = network.align_corners and protocol.fit is not None
        windows = (
            window
            for scaled in scales
            for window in _windows(
                _resized(image, scaled), protocol, size=size, align_corners=align_corners
            )
        )
        at_once = max(1, protocol.batch // len(image))
        while batch := [*islice(windows, at_once)]:  # full, whatever the scales
            _add(total, network, batch, protocol=protocol)
    return total.div_(len(scales))


def predict(network: PSPNet, image: Tensor, protocol: Protocol) -> tuple[Tensor, Coarse | Tensor]:
    """The prediction of images under a protocol, and the scores that it was made of.

    Scores of one pass are left at the size of the features, and predicted on strip by strip.

    Args:
        network: in evaluation mode.
        image: (N, 3, H, W), normalized, so that the mean color is 0.
        protocol: the protocol, see `resolve`.

    Returns:
        Class ids (N, H, W) uint8, and the scores, as of `evaluate` where there is more than a pass.
    """
    if _one_pass(protocol, (image.shape[2], image.shape[3])):
        found = coarse(network, image)
        return found.prediction(), found
    scores = evaluate(network, image, protocol)
    return scores.argmax(1).to(torch.uint8), scores


def _one_pass(protocol: Protocol, size: tuple[int, int]) -> bool:
    windows = protocol.crop_size is not None
    return not windows and not protocol.mirror and protocol.sizes(*size) == [size]


def _whole(network: PSPNet, image: Tensor, *, size: tuple[int, int], protocol: Protocol) -> Tensor:
    def scores(image: Tensor) -> Tensor:
        logits = whole(network, image)
        if logits.shape[2:] != size:
            align = network.align_corners
            logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=align)
        return logits.float().softmax(1) if protocol.average == "softmax" else logits.float()

    plain = scores(image)
    return plain.add_(scores(image.flip(3)).flip(3)).div_(2) if protocol.mirror else plain


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    if image.shape[2:] == size:
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)


def _windows(
    image: Tensor, protocol: Protocol, *, size: tuple[int, int], align_corners: bool
) -> Iterator[_Window]:
    """The windows of images at one scale, whose scores go to images of `size`."""
    crop = protocol.crop_size
    assert crop is not None
    padded, first_pixel = pad_centrally(image, multiple=1, smallest=crop)
    rows, columns = (
        _spreads(
            taps(output, scaled, align_corners=align_corners),
            before=before,
            starts=window_starts(max(scaled, side), crop=side, stride=protocol.stride),
            crop=side,
            device=image.device,
        )
        for output, scaled, before, side in zip(
            size, image.shape[2:], first_pixel, crop, strict=True
        )
    )
    for row in rows:
        for column in columns:
            yield _Window(padded[:, :, row.window, column.window], row, column)


def _add(total: Tensor, network: PSPNet, windows: list[_Window], *, protocol: Protocol) -> None:
    """Adds the scores of windows, which go through the network at once, to those of the images."""
    pixels = torch.cat([window.pixels for window in windows])
    if protocol.mirror:
        pixels = torch.cat([pixels, pixels.flip(3)])
    scores = _scores(network, pixels, protocol)  # (windows · N, or twice as many, C, *crop)
    plain = scores[: len(windows) * len(total)]
    mirrored = scores[len(plain) :] if protocol.mirror else None
    for low in range(0, total.shape[1], CLASSES_AT_ONCE):
        classes = slice(low, low + CLASSES_AT_ONCE)
        part = plain[:, classes]
        if mirrored is not None:
            part = (part + mirrored[:, classes].flip(3)) / 2
        for window, found in zip(windows, part.chunk(len(windows)), strict=True):
            row, column = window.row, window.column
            spread = column.spread(row.spread(found, axis=2), axis=3)
            total[:, classes, row.target, column.target] += spread


def _scores(network: PSPNet, windows: Tensor, protocol: Protocol) -> Tensor:
    logits = whole(network, windows).float()
    if protocol.average == "scores":
        return logits
    # the softmax in place, as there is room for no more of them than need be
    logits -= logits.amax(1, keepdim=True)
    logits.exp_()
    logits /= logits.sum(1, keepdim=True)
    return logits


@dataclass(frozen=True)
class _Window:
    """A part of the images (N, 3, *crop), at any scale, and how its scores reach them."""

    pixels: Tensor
    row: _Spread
    column: _Spread


@dataclass(frozen=True)
class _Spread:
    """What one window gives to each output pixel along one axis: bilinear resize over overlap.

    Each output pixel takes its two neighbors in the scaled image, each divided by the number of
    windows that cover it; a neighbor outside of this window has weight 0.
    """

    window: slice  # pixels of the padded image
    target: slice  # output pixels that the window reaches
    low: Tensor  # (pixels,) places in the window
    high: Tensor
    low_weight: Tensor  # (pixels,)
    high_weight: Tensor | None  # None where the image has its own size, and each pixel is one

    def spread(self, score: Tensor, *, axis: int) -> Tensor:
        shape = (-1, 1) if axis == 2 else (-1,)
        result = score.index_select(axis, self.low).mul_(self.low_weight.view(shape))
        if self.high_weight is not None:
            result.addcmul_(score.index_select(axis, self.high), self.high_weight.view(shape))
        return result


def _spreads(
    found: Taps, *, before: int, starts: list[int], crop: int, device: torch.device
) -> list[_Spread]:
    """Of the windows of one axis, where the image begins `before` pixels into the padded one."""
    count = torch.zeros(starts[-1] + crop)
    for start in starts:
        count[start : start + crop] += 1
    low, high, part = found.low + before, found.high + before, found.part
    spreads = []
    for start in starts:
        has_low = (low >= start) & (low < start + crop)
        has_high = (high >= start) & (high < start + crop) & (part > 0)
        reached = (has_low | has_high).nonzero().flatten()
        target = slice(int(reached[0]), int(reached[-1]) + 1) if len(reached) else slice(0, 0)
        upper = (part * has_high / count[high])[target]
        spreads.append(
            _Spread(
                window=slice(start, start + crop),
                target=target,
                low=(low[target] - start).clamp(0, crop - 1).to(device),
                high=(high[target] - start).clamp(0, crop - 1).to(device),
                low_weight=((1 - part) * has_low / count[low])[target].float().to(device),
                high_weight=upper.float().to(device) if upper.any() else None,
            )
        )
    return spreads


def window_starts(side: int, *, crop: int, stride: float) -> list[int]:
    """First pixels of the windows of one axis; the last one ends with the side.

    Source: semseg's tool/test.py, `scale_process`.
    """
    step = math.ceil(crop * stride)
    number = math.ceil((side - crop) / step) + 1
    return [min(index * step, side - crop) for index in range(number)]
