"""The class scores of sliding windows, added to those of their images."""

from __future__ import annotations

import torch
from torch import Tensor

from pspnet.inference.protocols import Protocol
from pspnet.inference.single_pass import full_logits
from pspnet.inference.sliding_window import Window
from pspnet.models.pspnet import PSPNet

CLASSES_AT_ONCE = 16  # bounds the memory of resizing the windows' scores


def add_scores(total: Tensor, network: PSPNet, batch: list[Window], *, protocol: Protocol) -> None:
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
