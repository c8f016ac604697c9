"""The quality of an image's label, by the network's probabilities of what is labeled.

The soft minimum of the pixels' probabilities: Lad and Mueller, arXiv 2307.05080, as in cleanlab's
`segmentation.rank`. It says little of labels that the network was trained on.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pspnet.data.datasets.classes import IGNORE
from pspnet.inference.class_scores import log_scores_on_grid
from pspnet.inference.protocols import Protocol
from pspnet.inference.single_pass import FeatureLogits

TEMPERATURE = 0.1  # the paper's; 0 would be the minimum, infinity the mean
PIXELS = 2**12  # of an image, on a grid, so that the time does not grow with the image


def label_quality(
    scores: FeatureLogits | Tensor, index: int, target: Tensor, protocol: Protocol
) -> float:
    """Return the quality of a label in [0, 1], low where it is likely wrong, nan if all is ignored.

    Args:
        scores: of `inference.predict`.
        index: of the image in them.
        target: its label, (H, W) int64, 255 where ignored.
        protocol: of the scores.
    """
    return softmin(label_probability(scores, index, target, protocol))


def label_probability(
    scores: FeatureLogits | Tensor, index: int, target: Tensor, protocol: Protocol
) -> Tensor:
    """Return the probabilities of what is labeled, (K,), on a grid of at most `PIXELS` pixels."""
    stride = math.ceil(math.sqrt(target.numel() / PIXELS))
    rows, columns = (torch.arange(stride // 2, side, stride) for side in target.shape)
    labels = target[rows][:, columns]
    logits = log_scores_on_grid(scores, index, rows, columns, protocol)
    counted = labels != IGNORE
    found = logits.softmax(0).gather(0, labels.where(counted, 0)[None])[0]
    return found[counted]


def softmin(values: Tensor) -> float:
    """Return the mean of values that weighs each by its exp(-value/0.1), nan of no value."""
    weights = torch.exp(-values / TEMPERATURE)
    return float((weights * values).sum() / weights.sum())
