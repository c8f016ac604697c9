"""The temperature that makes confidences probabilities, and how far they are from that.

Half of the images fit the temperature, by the least negative log-likelihood; the other half gives
the expected calibration error (ECE) before and after. Guo et al., arXiv 1706.04599.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from pspnet.data.datasets.classes import IGNORE
from pspnet.errors import UserError
from pspnet.inference.class_scores import log_scores_at
from pspnet.inference.protocols import Protocol
from pspnet.inference.single_pass import FeatureLogits

PIXELS = 4096  # of an image that count, at random: neighbors say much the same
TEMPERATURES = torch.logspace(-3, 3, 97, base=2.0, dtype=torch.float64)  # 1/8 to 8 in 4.4 % steps
BINS = 15  # as in the paper


@dataclass  # torchmetrics takes no frozen one
class CalibrationError:
    """Confidence and accuracy of pixels by bins of their confidence.

    Args:
        count: pixels in each bin, (BINS,).
        confidence: mean confidence in it, 0 where it is empty.
        accuracy: share of right pixels in it.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @classmethod
    def of(cls, sums: Tensor) -> CalibrationError:
        """Return the error of the sums of pixels, confidences and right pixels, (BINS, 3)."""
        count, confidence, right = sums.cpu().numpy().T
        return cls(count, confidence / np.maximum(count, 1), right / np.maximum(count, 1))

    @property
    def ece(self) -> float | None:
        """Mean distance of confidence and accuracy over all pixels; None if there are none."""
        if not self.count.any():
            return None
        distance = np.abs(self.confidence - self.accuracy)
        return float((distance * self.count).sum() / self.count.sum())


@dataclass
class Calibrated:
    """A fitted temperature, and the other half's errors before and after: all, and by class.

    A pixel is of the class that is predicted for it.
    """

    temperature: float
    images: tuple[int, int]  # that it was fitted on, and of the other half
    pixels: tuple[int, int]  # of these
    before: CalibrationError
    after: CalibrationError
    before_by_class: list[CalibrationError]
    after_by_class: list[CalibrationError]

    def describe(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the entry of results.json."""
        pairs = zip(names, self.before_by_class, self.after_by_class, strict=True)
        return {
            "temperature": self.temperature,
            "images": [*self.images],
            "pixels": [*self.pixels],
            "ece": {"before": self.before.ece, "after": self.after.ece},
            "ece_by_class": {
                name: {"before": before.ece, "after": after.ece} for name, before, after in pairs
            },
        }


class Calibration(Metric):
    """Collects what a temperature and its calibration errors follow from, over all processes.

    The result does not depend on the order of images or the number of processes.

    Args:
        num_classes: number of classes C.
    """

    full_state_update = False
    images: Tensor
    losses: Tensor
    bins: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        grid = len(TEMPERATURES)
        self.num_classes = num_classes
        self.add_state("images", torch.zeros(2, dtype=torch.int64), dist_reduce_fx="sum")
        sums = torch.zeros(grid + 1, dtype=torch.float64)  # of each temperature, and pixels
        self.add_state("losses", sums, dist_reduce_fx="sum")
        # by temperature, predicted class and bin: pixels, confidence, right ones
        bins = torch.zeros(grid, num_classes, BINS, 3, dtype=torch.float64)
        self.add_state("bins", bins, dist_reduce_fx="sum")

    def update(
        self, scores: FeatureLogits | Tensor, target: Tensor, names: list[str], protocol: Protocol
    ) -> None:
        """Add some images.

        Args:
            scores: of `inference.class_scores.predict`.
            target: (N, H, W) int64, 255 where ignored.
            names: of the images; they decide which half an image belongs to.
            protocol: of the scores.
        """
        for index, (labels, name) in enumerate(zip(target, names, strict=True)):
            seed = zlib.crc32(name.encode("utf-8", "surrogateescape"))
            pixels = (labels.flatten() != IGNORE).nonzero().flatten().cpu()
            generator = torch.Generator().manual_seed(seed)
            chosen = pixels[torch.randperm(len(pixels), generator=generator)[:PIXELS]]
            if not len(chosen):
                continue
            found = log_scores_at(scores, index, chosen, protocol).cpu()  # (K, C)
            right = labels.flatten()[chosen.to(labels.device)].cpu()
            self.images[1 - seed % 2] += 1
            if seed % 2:
                self._fit(found, right)
            else:
                self._count(found, right)

    def _fit(self, scores: Tensor, target: Tensor) -> None:
        for place, temperature in enumerate(TEMPERATURES):
            logs = (scores / temperature).log_softmax(1)
            loss = -logs.gather(1, target[:, None]).sum(dtype=torch.float64)
            self.losses[place] += loss.to(self.losses.device)
        self.losses[-1] += len(target)

    def _count(self, scores: Tensor, target: Tensor) -> None:
        predicted = scores.argmax(1)
        right = (predicted == target).double()
        for place, temperature in enumerate(TEMPERATURES):
            confidence = (scores / temperature).softmax(1).amax(1).double()
            row = (confidence * BINS).ceil().long().clamp(1, BINS) - 1  # (0, 1/15], (1/15, 2/15] …
            where = predicted * BINS + row
            values = torch.stack([torch.ones_like(right), confidence, right], 1)
            sums = torch.zeros(self.num_classes * BINS, 3, dtype=torch.float64)
            sums.index_add_(0, where, values)
            self.bins[place] += sums.view(self.num_classes, BINS, 3).to(self.bins.device)

    def compute(self) -> Calibrated:
        """Fit the temperature, and return it with the errors.

        Raises:
            UserError: if one of the halves has no labeled pixel.
        """
        if not self.losses[-1] or not self.bins[..., 0].any():
            raise UserError(
                "calibrate: half of the validation images have no labeled pixel; give more images"
            )
        best = int(self.losses[:-1].argmin())
        plain = int(TEMPERATURES.log().abs().argmin())  # 1
        before, after = self.bins[plain], self.bins[best]
        return Calibrated(
            float(TEMPERATURES[best]),
            (int(self.images[0]), int(self.images[1])),
            (int(self.losses[-1]), int(before[..., 0].sum())),
            CalibrationError.of(before.sum(0)),
            CalibrationError.of(after.sum(0)),
            [CalibrationError.of(sums) for sums in before],
            [CalibrationError.of(sums) for sums in after],
        )
