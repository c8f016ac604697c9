"""Losses of logits against labels, chosen by name: `--model.loss=OhemCrossEntropy`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pspnet.errors import UserError
from pspnet.ops.chunked_logits import at_least_float32, pixel_losses, weighted_cross_entropy

IGNORE = 255  # the label of pixels that do not train; the same as in `pspnet.data.datasets.classes`


class Loss(nn.Module, ABC):
    """A scalar loss over the pixels of a batch that are not ignored.

    The loss is float32, or float64 where the logits are. A batch in which every pixel is ignored
    gives 0 and gradients of 0.

    Args:
        class_weights: one weight a class, not negative; None weighs all classes 1. They come from
            the configuration and are not written to checkpoints.

    Raises:
        ValueError: if a weight is negative or not finite.
    """

    class_weights: Tensor | None

    def __init__(self, class_weights: list[float] | None = None) -> None:
        super().__init__()
        for index, weight in enumerate(class_weights or []):
            if not 0 <= weight < math.inf:
                raise UserError(
                    f"class_weights[{index}]={weight}: give finite weights of 0 or more"
                )
        weights = (
            None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        )
        self.register_buffer("class_weights", weights, persistent=False)

    @abstractmethod
    def forward(self, logits: Tensor, label: Tensor, *, align_corners: bool = True) -> Tensor:
        """The loss, 0-dim, of logits (N, C, h, w) and label (N, H, W) int64 in 0 to C-1 or 255.

        Logits of another size than the label's are those of the image enlarged bilinearly.

        Raises:
            ValueError: if there are class weights, but not one for each of the C classes.
        """

    def pixel_weights(self, label: Tensor, num_classes: int) -> Tensor:
        """Weight of each pixel by its true class, (N, H, W) float32, 0 where ignored."""
        valid = label != IGNORE
        if self.class_weights is None:
            return valid.float()
        if len(self.class_weights) != num_classes:
            raise UserError(
                f"class_weights has {len(self.class_weights)} weights, but the logits have "
                f"{num_classes} classes; give one weight a class"
            )
        return self.class_weights.float()[torch.where(valid, label, 0)] * valid


class CrossEntropy(Loss):
    """Cross-entropy, averaged with the class weights: sum of w·loss over sum of w, as in torch."""

    def forward(self, logits: Tensor, label: Tensor, *, align_corners: bool = True) -> Tensor:
        weights = self.pixel_weights(label, logits.shape[1])
        return weighted_cross_entropy(logits, label, weights, align_corners=align_corners)


class OhemCrossEntropy(Loss):
    """Cross-entropy over the hard pixels: online hard example mining.

    A pixel is kept if the probability of its true class is below the threshold, or if it is one of
    the `min_kept` least probable of the batch on this device; equally hard pixels at the border
    are all kept. Class weights do not enter the choice; they weigh the average over what is kept.
    With a threshold of 1 this is `CrossEntropy`.

    Args:
        threshold: probability of the true class, in (0, 1].
        min_kept: pixels of a batch, at least 1. HRNet counts them for the batch, as here;
            mmsegmentation multiplies them by the number of images.
        class_weights: one weight a class, not negative; None weighs all classes 1.

    Raises:
        ValueError: if threshold, min_kept or a weight is out of its range.
    """

    def __init__(
        self,
        threshold: float = 0.7,
        min_kept: int = 100_000,
        class_weights: list[float] | None = None,
    ) -> None:
        super().__init__(class_weights)
        if not 0 < threshold <= 1:
            raise UserError(f"threshold={threshold}: give a probability above 0 and up to 1")
        if min_kept < 1:
            raise UserError(f"min_kept={min_kept}: keep at least 1 pixel of a batch")
        self.threshold = threshold
        self.min_kept = min_kept

    def forward(self, logits: Tensor, label: Tensor, *, align_corners: bool = True) -> Tensor:
        weights = self.pixel_weights(label, logits.shape[1])
        losses = pixel_losses(logits, label, ignore=IGNORE, align_corners=align_corners)
        kept = weights * self.hard(losses)
        return weighted_cross_entropy(logits, label, kept, align_corners=align_corners)

    def hard(self, losses: Tensor) -> Tensor:
        """Which pixels are kept, (N, H, W) bool, from their losses -log p."""
        # ignored pixels have the lowest loss, 0: with too few others, all others are kept
        hardest = losses.flatten().topk(min(self.min_kept, losses.numel()), sorted=False).values
        return (losses > -math.log(self.threshold)) | (losses >= hardest.min())


class CrossEntropyDice(Loss):
    """Cross-entropy plus the soft Dice loss, which weighs rare classes like frequent ones.

    Unlike the others it holds the scores of all classes at the label's size.

    Args:
        dice_weight: factor of the Dice loss, 0 or more.
        class_weights: one weight a class for the cross-entropy, not negative; Dice takes none.

    Raises:
        ValueError: if dice_weight or a weight is negative or not finite.
    """

    def __init__(self, dice_weight: float = 1.0, class_weights: list[float] | None = None) -> None:
        super().__init__(class_weights)
        if not 0 <= dice_weight < math.inf:
            raise UserError(f"dice_weight={dice_weight}: give a finite factor of 0 or more")
        self.dice_weight = dice_weight

    def forward(self, logits: Tensor, label: Tensor, *, align_corners: bool = True) -> Tensor:
        weights = self.pixel_weights(label, logits.shape[1])
        cross_entropy = weighted_cross_entropy(logits, label, weights, align_corners=align_corners)
        size = (label.shape[1], label.shape[2])
        if logits.shape[2:] != size:
            logits = F.interpolate(
                at_least_float32(logits), size=size, mode="bilinear", align_corners=align_corners
            )
        return cross_entropy + self.dice_weight * dice_loss(logits, label)


def dice_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Mean of 1 - 2·sum(p·y) / (sum(p) + sum(y)) over the classes that the batch's label has.

    The sums go over all pixels of the batch that are not ignored; p is the softmax of the logits,
    y is 1 at the pixels of the class.
    """
    n, c, h, _ = logits.shape
    valid = label != IGNORE
    truth = torch.where(valid, label, 0)
    probability = at_least_float32(logits).softmax(1) * valid[:, None]  # (N, C, H, W)
    hit = probability.gather(1, truth[:, None])[:, 0]  # (N, H, W)
    # summed by rows first: no one-hot label as large as the logits, no long float32 sum
    rows = probability.new_zeros(n, h, c)
    overlap = rows.scatter_add(2, truth, hit).sum((0, 1))  # (C,)
    pixels = rows.scatter_add(2, truth, valid.to(rows.dtype)).sum((0, 1))  # (C,)
    dice = 2 * overlap / (probability.sum((0, 2, 3)) + pixels).clamp(min=1)
    present = pixels > 0  # a present class has a denominator above 1, so the clamp leaves it
    return ((1 - dice) * present).sum() / present.sum().clamp(min=1)
