"""From images of any size to class scores of that size, whole or by windows, scales and mirror."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pspnet.models.network import SMALLEST_SIDE, PSPNet
from pspnet.protocols import Protocol

CLASSES_AT_ONCE = 16  # bounds what the spreading of windows needs beside them


def evaluate(network: PSPNet, image: Tensor, protocol: Protocol) -> Tensor:
    """Class scores of images under a protocol; their argmax over the classes is the prediction.

    Memory is that of the scores, one image at its largest scale and one batch of windows: each
    window is spread over the scores at the image's own size as it comes.

    Args:
        network: in evaluation mode.
        image: (N, 3, H, W), normalised, so that the mean colour is 0.
        protocol: the protocol, see `resolve`.

    Returns:
        (N, C, H, W) float32: mean probabilities, or mean scores if the protocol averages those.

    Source: semseg's tool/test.py for windows; mmsegmentation's whole mode, which takes the softmax
    after the scores have come back to the image's own size.
    """
    size = (image.shape[2], image.shape[3])
    scales = protocol.sizes(*size)
    if protocol.crop_size is None and scales == [size] and not protocol.mirror:
        scores = whole(network, image)
        return scores.softmax(1) if protocol.average == "softmax" else scores
    total = image.new_zeros((len(image), network.num_classes, *size), dtype=torch.float32)
    for scaled in scales:
        resized = image
        if scaled != size:
            resized = F.interpolate(image, size=scaled, mode="bilinear", align_corners=False)
        if protocol.crop_size is None:
            total += _whole(network, resized, size=size, protocol=protocol)
        else:
            _add_windows(total, network, resized, crop=protocol.crop_size, protocol=protocol)
    return total.div_(len(scales))


def whole(network: PSPNet, image: Tensor) -> Tensor:
    """Logits of whole images in one pass, in evaluation mode.

    Images are padded centrally with the mean colour (0 once normalised) to the smallest size that
    the network takes, and with `align_corners` to 8n + 1 pixels a side (16n + 1, 32n + 1 at those
    output strides), at which the features' corners lie on pixels; semseg takes no other sizes.

    Args:
        network: in evaluation mode.
        image: (N, 3, H, W), normalised, any H and W.

    Returns:
        Logits (N, C, H, W).
    """
    assert not network.training
    height, width = image.shape[2:]
    multiple = network.output_stride if network.align_corners else 1
    padded, (top, left) = pad_centrally(image, multiple=multiple, smallest=SMALLEST_SIDE)
    logits = network(padded.contiguous(memory_format=torch.channels_last))
    assert isinstance(logits, torch.Tensor)
    return logits[:, :, top : top + height, left : left + width]


def pad_centrally(
    image: Tensor, *, multiple: int, smallest: int | tuple[int, int]
) -> tuple[Tensor, tuple[int, int]]:
    """Pads with 0 to sides of `multiple`·n + 1 (any, if 1) and at least `smallest`.

    Returns:
        The padded images (N, 3, H', W'), and the row and column of the first image pixel.
    """
    least = (smallest, smallest) if isinstance(smallest, int) else smallest
    sides = zip(image.shape[2:], least, strict=True)
    missing = [_side(side, multiple, low) - side for side, low in sides]
    top, left = (pixels // 2 for pixels in missing)
    if not any(missing):
        return image, (0, 0)
    padding = (left, missing[1] - left, top, missing[0] - top)
    return F.pad(image, padding), (top, left)


def _side(side: int, multiple: int, smallest: int) -> int:
    side = max(side, smallest)
    return side if multiple == 1 else side + (1 - side) % multiple


def _whole(network: PSPNet, image: Tensor, *, size: tuple[int, int], protocol: Protocol) -> Tensor:
    def scores(image: Tensor) -> Tensor:
        logits = whole(network, image)
        if logits.shape[2:] != size:
            align = network.align_corners
            logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=align)
        return logits.float().softmax(1) if protocol.average == "softmax" else logits.float()

    plain = scores(image)
    return plain.add_(scores(image.flip(3)).flip(3)).div_(2) if protocol.mirror else plain


def _add_windows(
    total: Tensor,
    network: PSPNet,
    image: Tensor,
    *,
    crop: tuple[int, int],
    protocol: Protocol,
) -> None:
    """Adds the scores of an image of any scale, cut into windows, at the size of `total`."""
    padded, first_pixel = pad_centrally(image, multiple=1, smallest=crop)
    # semseg resizes scores as it does images, mmsegmentation as its network does features
    align_corners = network.align_corners and protocol.fit is not None
    rows, columns = (
        _spreads(
            _taps(output, scaled, align_corners=align_corners),
            before=before,
            starts=window_starts(max(scaled, side), crop=side, stride=protocol.stride),
            crop=side,
            device=image.device,
        )
        for output, scaled, before, side in zip(
            total.shape[2:], image.shape[2:], first_pixel, crop, strict=True
        )
    )
    places = [(row, column) for row in rows for column in columns]
    step = max(1, protocol.batch // len(image))
    for first in range(0, len(places), step):
        _add_batch(total, network, padded, places=places[first : first + step], protocol=protocol)


def _add_batch(
    total: Tensor,
    network: PSPNet,
    padded: Tensor,
    *,
    places: list[tuple[_Spread, _Spread]],
    protocol: Protocol,
) -> None:
    windows = torch.cat([padded[:, :, row.window, column.window] for row, column in places])
    plain = _scores(network, windows, protocol)  # (windows · N, C, *crop)
    mirrored = _scores(network, windows.flip(3), protocol) if protocol.mirror else None
    for low in range(0, total.shape[1], CLASSES_AT_ONCE):
        classes = slice(low, low + CLASSES_AT_ONCE)
        scores = plain[:, classes]
        if mirrored is not None:
            scores = (scores + mirrored[:, classes].flip(3)) / 2
        for index, (row, column) in enumerate(places):
            part = scores[index * len(total) : (index + 1) * len(total)]
            part = column.spread(row.spread(part, axis=2), axis=3)
            total[:, classes, row.target, column.target] += part


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
class _Spread:
    """What one window gives to each output pixel along one axis: bilinear resize over overlap.

    Each output pixel takes its two neighbours in the scaled image, each divided by the number of
    windows that cover it; a neighbour outside of this window has weight 0.
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


@dataclass(frozen=True)
class _Taps:
    """The two neighbours of each output pixel along one axis of a scaled image."""

    low: Tensor  # (pixels,)
    high: Tensor
    part: Tensor  # (pixels,), weight of the higher


def _taps(output: int, scaled: int, *, align_corners: bool) -> _Taps:
    """Of torch's bilinear resize of `scaled` pixels to `output`."""
    pixels = torch.arange(output, dtype=torch.float64)
    if align_corners:
        source = pixels * (scaled - 1) / max(output - 1, 1)
    else:
        source = ((pixels + 0.5) * scaled / output - 0.5).clamp(0)
    low = source.floor().long().clamp(max=scaled - 1)
    high = (low + 1).clamp(max=scaled - 1)
    return _Taps(low, high, part=torch.where(high > low, source - low, 0.0))


def _spreads(
    taps: _Taps, *, before: int, starts: list[int], crop: int, device: torch.device
) -> list[_Spread]:
    """Of the windows of one axis, where the image begins `before` pixels into the padded one."""
    count = torch.zeros(starts[-1] + crop)
    for start in starts:
        count[start : start + crop] += 1
    low, high, part = taps.low + before, taps.high + before, taps.part
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
