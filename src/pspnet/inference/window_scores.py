"""The class scores of sliding windows, added to those of their images."""

from __future__ import annotations

from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from pspnet.inference.protocols import Protocol
from pspnet.inference.single_pass import full_logits
from pspnet.inference.sliding_window import Window, windows
from pspnet.models.pspnet import PSPNet

CLASSES_AT_ONCE = 16  # bounds the memory of resizing the windows' scores


def slide(network: PSPNet, image: Tensor, protocol: Protocol) -> Tensor:
    """Return the scores of images under a protocol that slides, see `class_scores.evaluate`."""
    size = (image.shape[2], image.shape[3])
    total = image.new_zeros((len(image), network.num_classes, *size), dtype=torch.float32)
    if protocol.rules == "semseg":
        _add(total, network, image, protocol, slides=protocol.slides)
        return total.div_(len(protocol.slides))
    part = total
    for number, each in enumerate(protocol.slides):  # windows of one size
        if number and protocol.averages_slides:
            part = torch.zeros_like(total)
        _add(part, network, image, protocol, slides=[each])
        if protocol.averages_slides:
            softmax_(part)
        if part is not total:
            total += part
    return total.div_(len(protocol.slides))


def _add(
    total: Tensor,
    network: PSPNet,
    image: Tensor,
    protocol: Protocol,
    *,
    slides: list[tuple[int, bool]],
) -> None:
    """Add the scores of some of a protocol's `slides` to those of the images."""
    size = (image.shape[2], image.shape[3])
    scales = protocol.sizes(*size)
    align_corners = scores_align_corners(network, protocol)
    every = (
        window
        for index, flipped in slides
        for window in windows(
            resized(image, scales[index]),
            protocol,
            size=size,
            align_corners=align_corners,
            flipped=flipped,
        )
    )
    at_once = max(1, protocol.batch // len(image))
    while batch := [*islice(every, at_once)]:  # full, whatever the scales
        add_scores(total, network, batch, protocol=protocol)


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images (N, 3, H, W) bilinearly to height and width `size`."""
    if image.shape[2:] == size:
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)


def add_scores(total: Tensor, network: PSPNet, batch: list[Window], *, protocol: Protocol) -> None:
    """Run a batch of windows through the network and add their scores to those of the images.

    All windows of a batch have one size, and are of flipped images or none is.
    """
    pixels = torch.cat([window.pixels for window in batch])
    if batch[0].flipped:
        pixels = pixels.flip(3)
    if protocol.mirrors_windows:
        pixels = torch.cat([pixels, pixels.flip(3)])
    scores = _scores(network, pixels, protocol)  # (windows · N, or twice as many, C, *crop)
    if batch[0].flipped:
        scores = scores.flip(3)
    plain = scores[: len(batch) * len(total)]
    flipped = scores[len(plain) :] if protocol.mirrors_windows else None
    for low in range(0, total.shape[1], CLASSES_AT_ONCE):
        classes = slice(low, low + CLASSES_AT_ONCE)
        part = plain[:, classes]
        if flipped is not None:
            part = (part + flipped[:, classes].flip(3)) / 2
        for window, found in zip(batch, part.chunk(len(batch)), strict=True):
            row, column = window.row, window.column
            resized = column.resize(row.resize(found, axis=2), axis=3)
            total[:, classes, row.target, column.target] += resized


def scores_align_corners(network: PSPNet, protocol: Protocol) -> bool:
    """Return how scores are resized: by semseg as images are, by mmsegmentation as features."""
    return network.align_corners and protocol.rules == "mmseg"


def _scores(network: PSPNet, pixels: Tensor, protocol: Protocol) -> Tensor:
    semseg = protocol.rules == "semseg"
    logits = full_logits(network, pixels, pad_to_corners=semseg).float()
    return softmax_(logits) if semseg and protocol.average == "softmax" else logits


def softmax_(logits: Tensor) -> Tensor:
    """Replace logits (N, C, H, W) by their softmax in place, as it would double the memory."""
    logits -= logits.amax(1, keepdim=True)
    logits.exp_()
    logits /= logits.sum(1, keepdim=True)
    return logits
