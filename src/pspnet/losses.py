"""Losses of logits against targets: `--model.loss=OhemCrossEntropy`.

Any `nn.Module` of logits (N, C, H, W) and target (N, H, W) is a loss. Those here also have a method
`chunked`, which takes logits at feature resolution and holds no more than a few rows of them at the
target's size. A loss that is a weighted mean over pixels has a method `total_weight`, by which the
mean is taken over an entire step, however the step is divided among processes. Either is used where
`pspnet.ops.loss_forms` finds it equal to `forward`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pspnet.errors import UserError
from pspnet.ops.chunked_logits import at_least_float32, pixel_losses, weighted_cross_entropy

WeightFormula = Literal[
    "inverse_frequency", "log_frequency", "median_frequency", "effective_number"
]
ClassWeights: TypeAlias = list[float] | WeightFormula | None
Average = Literal["weights", "labeled", "all"]
IGNORE = 255  # the target of pixels that do not train; the same as in `pspnet.data`


class Loss(nn.Module, ABC):
    """A scalar loss over the pixels of a batch that are not ignored.

    The loss is float32, or float64 where the logits are. A batch in which every pixel is ignored
    gives 0 and gradients of 0.

    Args:
        class_weights: one weight per class, not negative; None weighs all classes 1. They come from
            the configuration and are not written to checkpoints. The name of a formula of
            `pspnet.data.facts.class_weights` computes them from the training labels, once;
            `Segmentation` writes those to checkpoints.
        average: the divisor of a sum of w·loss over pixels: "weights", the sum of w; "labeled", the
            number of pixels that are not ignored; "all", that of all pixels, as in mmsegmentation
            without `avg_non_ignore`.

    Raises:
        UserError: if a weight is negative or not finite, or no formula or average has the name.
    """

    class_weights: Tensor | None

    def __init__(self, class_weights: ClassWeights = None, average: Average = "weights") -> None:
        super().__init__()
        if average not in get_args(Average):
            raise UserError(f"average={average}: give one of {', '.join(get_args(Average))}")
        self.average = average
        self.weight_formula = class_weights if isinstance(class_weights, str) else None
        if isinstance(class_weights, str):
            if class_weights not in get_args(WeightFormula):
                names = ", ".join(get_args(WeightFormula))
                raise UserError(f"class_weights={class_weights}: give weights, or one of {names}")
            class_weights = None
        for index, weight in enumerate(class_weights or []):
            if not 0 <= weight < math.inf:
                raise UserError(
                    f"class_weights[{index}]={weight}: give finite weights of 0 or more"
                )
        if class_weights is not None and not any(class_weights):
            raise UserError(f"class_weights={class_weights}: give a weight above 0, or none")
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)

    def set_class_weights(self, weights: Tensor) -> None:
        """Take the weights (C,) that the formula gives."""
        self.register_buffer("class_weights", weights.float(), persistent=False)

    @abstractmethod
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, 0-dim, of logits (N, C, H, W) and target (N, H, W) int64.

        Raises:
            UserError: if there are class weights, but not one for each of the C classes.
        """

    def check_classes(self, num_classes: int) -> None:
        """Refuse class weights that are not one per class.

        Raises:
            UserError: if there are class weights, and not `num_classes` of them.
        """
        if self.class_weights is not None and len(self.class_weights) != num_classes:
            raise UserError(
                f"class_weights has {len(self.class_weights)} weights, but the logits have "
                f"{num_classes} classes; give one weight per class"
            )

    def pixel_weights(self, target: Tensor, num_classes: int) -> Tensor:
        """Return the weight of each pixel by its target class, (N, H, W), 0 where ignored."""
        self.check_classes(num_classes)
        valid = target != IGNORE
        if self.class_weights is None:
            return valid.float()
        return self.class_weights.float()[torch.where(valid, target, 0)] * valid

    def _average(self, mean: Tensor, weights: Tensor, target: Tensor) -> Tensor:
        """Return a mean by the weights of pixels (N, H, W) as one by `average`, 0-dim."""
        if self.average == "weights":
            return mean
        share = weights.sum(dtype=_wide(weights)) / self._divisor(weights, target).clamp(min=1)
        return mean * share.to(mean.dtype)

    def _divisor(self, weights: Tensor, target: Tensor) -> Tensor:
        """Return the divisor that `average` names, 0-dim."""
        if self.average == "all":
            return weights.new_full((), target.numel(), dtype=_wide(weights))
        summed = weights if self.average == "weights" else target != IGNORE
        return summed.sum(dtype=_wide(weights))


def computed_weights(loss: nn.Module) -> dict[str, Loss]:
    """Return the losses within a loss, and it itself, whose class weights a formula gives."""
    return {
        name: part
        for name, part in loss.named_modules()
        if isinstance(part, Loss) and part.weight_formula is not None
    }


class CrossEntropy(Loss):
    """Cross-entropy, averaged with the class weights: sum of w·loss over sum of w, as in torch.

    Args:
        class_weights, average: as of `Loss`.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        weights = self.pixel_weights(target, logits.shape[1])
        mean = weighted_mean(cross_entropy(logits, target), weights)
        return self._average(mean, weights, target)

    def chunked(self, logits: Tensor, target: Tensor, *, align_corners: bool) -> Tensor:
        """Return the loss of logits (N, C, h, w), upsampled bilinearly to the target's size."""
        weights = self.pixel_weights(target, logits.shape[1])
        mean = weighted_cross_entropy(logits, target, weights, align_corners=align_corners)
        return self._average(mean, weights, target)

    def total_weight(self, target: Tensor, num_classes: int) -> Tensor:
        """Return the divisor of the mean, 0-dim."""
        weights = self.pixel_weights(target, num_classes)
        return self._divisor(weights, target)


class OhemCrossEntropy(Loss):
    """Cross-entropy over the hard pixels: online hard example mining.

    A pixel is kept if the probability of its target class is below the threshold, or if it is one
    of the `min_kept` least probable of the batch; equally hard pixels at the border are all kept.
    Class weights do not enter the choice; they weigh the average over what is kept. As in published
    code, choice and average are of each process's batch. With a threshold of 1 this is
    `CrossEntropy`.

    Args:
        threshold: probability of the target class, in (0, 1]; None keeps the `min_kept` alone.
        min_kept: pixels of a batch, at least 1. HRNet counts them for the batch, as here;
            mmsegmentation multiplies them by the number of images.
        class_weights: as of `Loss`.
        average: as of `Loss`; a pixel that is not kept has weight 0. So "weights" is the mean over
            the kept pixels, as in HRNet; mmsegmentation divides by "all".

    Raises:
        UserError: if threshold, min_kept or a weight is out of its range.
    """

    def __init__(
        self,
        threshold: float | None = 0.7,
        min_kept: int = 100_000,
        class_weights: ClassWeights = None,
        average: Average = "weights",
    ) -> None:
        super().__init__(class_weights, average)
        if threshold is not None and not 0 < threshold <= 1:
            raise UserError(f"threshold={threshold}: give a probability above 0 and up to 1")
        if min_kept < 1:
            raise UserError(f"min_kept={min_kept}: keep at least 1 pixel of a batch")
        self.threshold = threshold
        self.min_kept = min_kept

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        losses = cross_entropy(logits, target)
        kept = self.pixel_weights(target, logits.shape[1]) * self.hard(losses.detach())
        return self._average(weighted_mean(losses, kept), kept, target)

    def chunked(self, logits: Tensor, target: Tensor, *, align_corners: bool) -> Tensor:
        """Return the loss of logits (N, C, h, w), upsampled bilinearly to the target's size."""
        losses = pixel_losses(logits, target, ignore_index=IGNORE, align_corners=align_corners)
        kept = self.pixel_weights(target, logits.shape[1]) * self.hard(losses)
        mean = weighted_cross_entropy(logits, target, kept, align_corners=align_corners)
        return self._average(mean, kept, target)

    def hard(self, losses: Tensor) -> Tensor:
        """Return which pixels are kept, (N, H, W) bool, from their losses -log p."""
        # ignored pixels have the lowest loss, 0: with too few others, all others are kept
        hardest = losses.flatten().topk(min(self.min_kept, losses.numel()), sorted=False).values
        kept: Tensor = losses >= hardest.min()
        return kept if self.threshold is None else kept | (losses > -math.log(self.threshold))


class CrossEntropyDice(Loss):
    """Cross-entropy plus the soft Dice loss, which weighs rare classes like frequent ones.

    Args:
        dice_weight: factor of the Dice loss, 0 or more.
        class_weights: as of `Loss`, for the cross-entropy; Dice takes none.

    Raises:
        UserError: if dice_weight or a weight is negative or not finite.
    """

    def __init__(self, dice_weight: float = 1.0, class_weights: ClassWeights = None) -> None:
        super().__init__(class_weights)
        if not 0 <= dice_weight < math.inf:
            raise UserError(f"dice_weight={dice_weight}: give a finite factor of 0 or more")
        self.dice_weight = dice_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        losses = cross_entropy(logits, target)
        average = weighted_mean(losses, self.pixel_weights(target, logits.shape[1]))
        return average + self.dice_weight * dice_loss(logits, target)


def _wide(value: Tensor) -> torch.dtype:
    """Return the type in which numbers of pixels are exact."""
    return torch.float32 if value.device.type == "mps" else torch.float64


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy -log p of each pixel, (N, H, W), 0 where ignored."""
    wide = at_least_float32(logits)
    return F.cross_entropy(wide, target, ignore_index=IGNORE, reduction="none")


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of weights·losses over the sum of weights, 0-dim; 0 if that sum is 0."""
    total = weights.to(losses.dtype).sum()
    return (weights * losses).sum() / torch.where(total > 0, total, 1)


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean of 1 - 2·sum(p·y) / (sum(p) + sum(y)) over the classes of the targets.

    The sums go over all pixels of the batch that are not ignored; p is the softmax of the logits,
    y is 1 at the pixels of the class.
    """
    n, c, h, _ = logits.shape
    valid = target != IGNORE
    classes = torch.where(valid, target, 0)
    probability = at_least_float32(logits).softmax(1) * valid[:, None]  # (N, C, H, W)
    hit = probability.gather(1, classes[:, None])[:, 0]  # (N, H, W)
    # summed by rows first: no one-hot target as large as the logits, no long float32 sum
    rows = probability.new_zeros(n, h, c)
    overlap = rows.scatter_add(2, classes, hit).sum((0, 1))  # (C,)
    pixels = rows.scatter_add(2, classes, valid.to(rows.dtype)).sum((0, 1))  # (C,)
    dice = 2 * overlap / (probability.sum((0, 2, 3)) + pixels).clamp(min=1)
    present = pixels > 0  # a present class has a denominator above 1, so the clamp leaves it
    return ((1 - dice) * present).sum() / present.sum().clamp(min=1)
