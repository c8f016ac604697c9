"""The quality of an image's label, by the network's probabilities of what is labeled.

The soft minimum of the pixels' probabilities: Lad and Mueller, arXiv 2307.05080, as in cleanlab's
`segmentation.rank`. The network must not have been trained on these labels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pspnet.data.datasets.classes import IGNORE

TEMPERATURE = 0.1  # the paper's; 0 would be the minimum, infinity the mean


def label_quality(probability: Tensor, target: Tensor) -> float:
    """Return the label's quality in [0, 1], nan if all of it is ignored; errors have a low one.

    Args:
        probability: of each pixel's label, (H, W), see `inference.label_probability`.
        target: (H, W), 255 where ignored.
    """
    found = probability[target != IGNORE]
    weights = torch.exp(-found / TEMPERATURE)
    return float((weights * found).sum() / weights.sum())
