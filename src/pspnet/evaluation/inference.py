"""From images of any size to class scores of that size, as a protocol says."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from pspnet.evaluation.protocols import Protocol
from pspnet.evaluation.single_pass import FeatureLogits, full_logits, single_pass
from pspnet.evaluation.sliding_window import Window, windows
from pspnet.models.pspnet import PSPNet
from pspnet.ops.chunked_logits import at_least_float32, highest_probability_

CLASSES_AT_ONCE = 16  # bounds the memory of resizing the windows' scores
ROWS_AT_ONCE = 64  # bounds that of the confidence


def evaluate(network: PSPNet, image: Tensor, protocol: Protocol) -> Tensor:
    """Return class scores of images; their argmax over the classes is the prediction.

    Memory is that of the scores and one batch of windows, with their flipped copies and the scaled
    images. Each window's scores are added to the image's own as they come.

    Args:
        network: in evaluation mode.
        image: (N, 3, H, W), normalized, so that the mean color is 0.
        protocol: see `pspnet.evaluation.protocols.resolve`.

    Returns:
        (N, C, H, W) float32: mean probabilities, or mean logits if the protocol averages those.

    Source: semseg's tool/test.py for windows; mmsegmentation's whole mode, which takes the softmax
    after the scores have come back to the image's own size.
    """
    size = (image.shape[2], image.shape[3])
    if _is_single_pass(protocol, size):
        logits = full_logits(network, image)
        return logits.softmax(1) if protocol.average == "softmax" else logits
    scales = protocol.sizes(*size)
    total = image.new_zeros((len(image), network.num_classes, *size), dtype=torch.float32)
    if protocol.crop_size is None:
        for scaled in scales:
            total += _whole_image(network, _resize(image, scaled), size=size, protocol=protocol)
    else:
        # semseg resizes scores as it does images, mmsegmentation as its network does features
        align_corners = network.align_corners and protocol.fit is not None
        every = (
            window
            for scaled in scales
            for window in windows(
                _resize(image, scaled), protocol, size=size, align_corners=align_corners
            )
        )
        at_once = max(1, protocol.batch // len(image))
        while batch := [*islice(every, at_once)]:  # full, whatever the scales
            _add(total, network, batch, protocol=protocol)
    return total.div_(len(scales))


def predict(
    network: PSPNet, image: Tensor, protocol: Protocol
) -> tuple[Tensor, FeatureLogits | Tensor]:
    """Return the prediction of images under a protocol, and the scores behind it.

    Args:
        network: in evaluation mode.
        image: (N, 3, H, W), normalized, so that the mean color is 0.
        protocol: see `pspnet.evaluation.protocols.resolve`.

    Returns:
        Class ids (N, H, W) uint8, and the scores as `evaluate` returns them; of a single pass, the
        logits at feature resolution.
    """
    if _is_single_pass(protocol, (image.shape[2], image.shape[3])):
        logits = single_pass(network, image)
        if isinstance(logits, FeatureLogits):
            return logits.argmax(), logits
        return logits.argmax(1).to(torch.uint8), logits
    scores = evaluate(network, image, protocol)
    return scores.argmax(1).to(torch.uint8), scores


def confidence(
    scores: FeatureLogits | Tensor, protocol: Protocol, *, temperature: float = 1.0
) -> Tensor:
    """Return the probability of each pixel's class, (N, H, W) float32.

    Args:
        scores: of `predict`.
        protocol: under which they were computed.
        temperature: by which logits are divided before their softmax, and log-probabilities where
            the protocol averages probabilities; it leaves the classes as they are (Guo et al.,
            arXiv 1706.04599).
    """
    if isinstance(scores, FeatureLogits):
        return scores.confidence(temperature)
    maps = []
    for image in scores:
        parts = (_logits(part, scores, protocol) for part in image.split(ROWS_AT_ONCE, dim=1))
        maps.append(torch.cat([highest_probability_(part, temperature) for part in parts]))
    return torch.stack(maps)


def probabilities(
    scores: FeatureLogits | Tensor, protocol: Protocol, *, temperature: float = 1.0
) -> Tensor:
    """Return the probability of every class, (N, C, H, W) float32, as `confidence`."""
    if isinstance(scores, FeatureLogits):
        full = replace(scores, logits=at_least_float32(scores.logits)).upsample()
    else:
        full = scores
    return (_logits(full, full, protocol) / temperature).softmax(1)


def _logits(part: Tensor, scores: Tensor, protocol: Protocol) -> Tensor:
    """Return a copy of a part of an image's scores as logits; a single pass has them already."""
    size = (scores.shape[2], scores.shape[3])
    averaged = protocol.average == "softmax" and not _is_single_pass(protocol, size)
    return part.float().log() if averaged else part.float().clone()


def _is_single_pass(protocol: Protocol, size: tuple[int, int]) -> bool:
    slides = protocol.crop_size is not None
    return not slides and not protocol.mirror and protocol.sizes(*size) == [size]


def _whole_image(
    network: PSPNet, image: Tensor, *, size: tuple[int, int], protocol: Protocol
) -> Tensor:
    def scores(image: Tensor) -> Tensor:
        logits = full_logits(network, image)
        if logits.shape[2:] != size:
            align = network.align_corners
            logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=align)
        return logits.float().softmax(1) if protocol.average == "softmax" else logits.float()

    plain = scores(image)
    return plain.add_(scores(image.flip(3)).flip(3)).div_(2) if protocol.mirror else plain


def _resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    if image.shape[2:] == size:
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)


def _add(total: Tensor, network: PSPNet, batch: list[Window], *, protocol: Protocol) -> None:
    """Run a batch of windows through the network and add their scores to those of the images."""
    pixels = torch.cat([window.pixels for window in batch])
    if protocol.mirror:
        pixels = torch.cat([pixels, pixels.flip(3)])
    scores = _scores(network, pixels, protocol)  # (windows · N, or twice as many, C, *crop)
    plain = scores[: len(batch) * len(total)]
    flipped = scores[len(plain) :] if protocol.mirror else None
    for low in range(0, total.shape[1], CLASSES_AT_ONCE):
        classes = slice(low, low + CLASSES_AT_ONCE)
        part = plain[:, classes]
        if flipped is not None:
            part = (part + flipped[:, classes].flip(3)) / 2
        for window, found in zip(batch, part.chunk(len(batch)), strict=True):
            row, column = window.row, window.column
            resized = column.resize(row.resize(found, axis=2), axis=3)
            total[:, classes, row.target, column.target] += resized


def _scores(network: PSPNet, pixels: Tensor, protocol: Protocol) -> Tensor:
    logits = full_logits(network, pixels).float()
    if protocol.average == "scores":
        return logits
    # the softmax in place, as it would double the memory
    logits -= logits.amax(1, keepdim=True)
    logits.exp_()
    logits /= logits.sum(1, keepdim=True)
    return logits
