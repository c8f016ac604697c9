"""From images of any size to class scores of that size, as a protocol says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from pspnet.inference.protocols import Protocol
from pspnet.inference.score_blocks import MEMORY, Reader, score_blocks
from pspnet.inference.single_pass import FeatureLogits, full_logits, single_pass
from pspnet.inference.window_scores import resized, slide
from pspnet.models.pspnet import PSPNet
from pspnet.ops.chunked_logits import at_least_float32, highest_probability_

ROWS_AT_ONCE = 64  # bounds that of the confidence


def evaluate(network: PSPNet, image: Tensor, protocol: Protocol) -> Tensor:
    """Return class scores of images; their argmax over the classes is the prediction.

    Memory is that of the scores and one batch of windows, with their flipped copies and the scaled
    images. Each window's scores are added to the image's own as they come.

    Args:
        network: in evaluation mode.
        image: (N, 3, H, W), normalized, so that the mean color is 0.
        protocol: see `pspnet.inference.protocols.resolve`.

    Returns:
        (N, C, H, W) float32: mean probabilities, or mean logits if the protocol averages those.

    Source: semseg's tool/test.py for windows; mmsegmentation's whole mode, which takes the softmax
    after the scores have come back to the image's own size.
    """
    size = (image.shape[2], image.shape[3])
    if _is_single_pass(protocol, size):
        logits = full_logits(network, image, pad_to_corners=protocol.rules == "semseg")
        return logits.softmax(1) if protocol.average == "softmax" else logits
    if protocol.crop_size is not None:
        return slide(network, image, protocol)
    scales = protocol.sizes(*size)
    total = image.new_zeros((len(image), network.num_classes, *size), dtype=torch.float32)
    for scaled in scales:
        total += _whole_image(network, resized(image, scaled), size=size, protocol=protocol)
    return total.div_(len(scales))


def predict(
    network: PSPNet, image: Tensor, protocol: Protocol
) -> tuple[Tensor, FeatureLogits | Tensor]:
    """Return the prediction of images under a protocol, and the scores behind it.

    Args:
        network: in evaluation mode.
        image: (N, 3, H, W), normalized, so that the mean color is 0.
        protocol: see `pspnet.inference.protocols.resolve`.

    Returns:
        Class ids (N, H, W) uint8, and the scores as `evaluate` returns them; of a single pass, the
        logits at feature resolution.
    """
    if _is_single_pass(protocol, (image.shape[2], image.shape[3])):
        logits = single_pass(network, image, pad_to_corners=protocol.rules == "semseg")
        if isinstance(logits, FeatureLogits):
            return logits.argmax(), logits
        return logits.argmax(1).to(torch.uint8), logits
    scores = evaluate(network, image, protocol)
    return scores.argmax(1).to(torch.uint8), scores


def label_and_confidence(
    network: PSPNet, image: Tensor, protocol: Protocol, *, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return class ids (1, H, W) uint8 and their probabilities (1, H, W) float32 of one image.

    Sliding windows take no memory for the scores of the entire image.

    Args:
        network: in evaluation mode.
        image: (1, 3, H, W), normalized, so that the mean color is 0.
        protocol: see `pspnet.inference.protocols.resolve`.
        temperature: by which logits are divided before their softmax, and log-probabilities where
            the protocol averages probabilities; it leaves the classes as they are (Guo et al.,
            arXiv 1706.04599).
    """
    size = (image.shape[2], image.shape[3])
    if protocol.crop_size is None:
        label, scores = predict(network, image, protocol)
        return label, confidence(scores, protocol, temperature=temperature)
    label = image.new_empty((1, *size), dtype=torch.uint8)
    certain = image.new_empty((1, *size), dtype=torch.float32)
    for block in label_blocks(
        network,
        lambda rows, columns: image[0, :, rows, columns],
        size,
        protocol,
        temperature=temperature,
    ):
        label[0, block.rows, block.columns] = block.label
        certain[0, block.rows, block.columns] = block.confidence
    return label, certain


@dataclass(frozen=True)
class LabelBlock:
    """A rectangle of an image with its class ids (H, W) uint8 and confidence (H, W) float32."""

    rows: slice
    columns: slice
    label: Tensor
    confidence: Tensor


def label_blocks(
    network: PSPNet,
    read: Reader,
    size: tuple[int, int],
    protocol: Protocol,
    *,
    temperature: float = 1.0,
    multiple: int = 1,
    memory: int = MEMORY,
) -> Iterator[LabelBlock]:
    """Yield class ids and confidence of an image of any size, as `label_and_confidence`.

    Args:
        network, read, size, multiple, memory: as in `score_blocks`.
        protocol: one that slides.
        temperature: as in `label_and_confidence`.
    """
    for block in score_blocks(network, read, size, protocol, multiple=multiple, memory=memory):
        label = block.scores.argmax(0).to(torch.uint8)
        certain = confidence(block.scores[None], protocol, temperature=temperature)[0]
        yield LabelBlock(block.rows, block.columns, label, certain)


def confidence(
    scores: FeatureLogits | Tensor, protocol: Protocol, *, temperature: float = 1.0
) -> Tensor:
    """Return the probability of each pixel's class, (N, H, W) float32.

    Args:
        scores: of `predict`.
        protocol: under which they were computed.
        temperature: by which logits are divided before their softmax, and log-probabilities where
            the protocol averages probabilities.
    """
    if isinstance(scores, FeatureLogits):
        return scores.confidence(temperature)
    if temperature == 1 and _averages_probabilities(scores, protocol):
        return scores.amax(1)
    parts = (_logits(part, scores, protocol) for part in torch.split(scores, ROWS_AT_ONCE, dim=2))
    return torch.cat([highest_probability_(part, temperature) for part in parts], 1)


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
    averaged = _averages_probabilities(scores, protocol)
    return part.float().log() if averaged else part.float().clone()


def log_scores_at(
    scores: FeatureLogits | Tensor, index: int, pixels: Tensor, protocol: Protocol
) -> Tensor:
    """Return logits or log-probabilities of some pixels of one image, (K, C) float32.

    Args:
        scores: of `predict`.
        index: of the image.
        pixels: (K,) places in the flattened image.
        protocol: of the scores.
    """
    if isinstance(scores, FeatureLogits):
        return scores.at(index, pixels)
    found = scores[index].flatten(1)[:, pixels.to(scores.device)].T.float()
    if _averages_probabilities(scores, protocol):  # a probability may have underflowed to 0
        return found.clamp_min(torch.finfo(found.dtype).tiny).log()
    return found


def log_scores_on_grid(
    scores: FeatureLogits | Tensor, index: int, rows: Tensor, columns: Tensor, protocol: Protocol
) -> Tensor:
    """Return logits or log-probabilities of some rows and columns of one image, (C, rows, columns).

    Args:
        scores, index, protocol: as in `log_scores_at`.
        rows, columns: places in the image.
    """
    if isinstance(scores, FeatureLogits):
        return scores.on_grid(index, rows, columns)
    found = scores[index][:, rows.to(scores.device)][:, :, columns.to(scores.device)].float()
    return found.log() if _averages_probabilities(scores, protocol) else found


def _averages_probabilities(scores: Tensor, protocol: Protocol) -> bool:
    size = (scores.shape[2], scores.shape[3])
    return protocol.average == "softmax" and not _is_single_pass(protocol, size)


def _is_single_pass(protocol: Protocol, size: tuple[int, int]) -> bool:
    slides = protocol.crop_size is not None
    return not slides and not protocol.mirror and protocol.sizes(*size) == [size]


def _whole_image(
    network: PSPNet, image: Tensor, *, size: tuple[int, int], protocol: Protocol
) -> Tensor:
    def scores(image: Tensor) -> Tensor:
        logits = full_logits(network, image, pad_to_corners=protocol.rules == "semseg")
        if logits.shape[2:] != size:
            align = network.align_corners
            logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=align)
        return logits.float().softmax(1) if protocol.average == "softmax" else logits.float()

    plain = scores(image)
    return plain.add_(scores(image.flip(3)).flip(3)).div_(2) if protocol.mirror else plain
