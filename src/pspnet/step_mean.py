"""The mean of a loss over an optimizer step, however processes and accumulation divide the step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from pspnet.ops.loss_forms import why_not_composed

LossMean = Literal["step", "process"]


class StepMean:
    """Scales the losses of batches so that their mean is that of the step, and keeps that mean.

    Lightning averages gradients over processes and accumulated batches. A mean over pixels would
    so weigh the pixels of a batch with few labels more than others.

    Args:
        over: "step", or "process" for the mean of the batches' means, as published code has it.
    """

    def __init__(self, over: LossMean) -> None:
        self.over = over
        self._weigh: Callable[[Tensor], Tensor] | None = None
        self._losses: list[Tensor] = []  # of the step's batches until now

    def start(self, trainer: Trainer, loss: nn.Module, num_classes: int) -> str | None:
        """Decide for a training; return why the mean is not over the step, or None."""
        self._losses.clear()
        self._weigh = None
        if parts(trainer) == 1:
            return None
        if self.over == "process":
            return "model.loss_mean=process"
        if (reason := why_not_composed(loss, num_classes)) is not None:
            return reason
        total_weight: Callable[..., Tensor] = loss.total_weight  # type: ignore[assignment]
        self._weigh = partial(total_weight, num_classes=num_classes)
        return None

    def scaled(self, trainer: Trainer, losses: list[Tensor], batch: dict[str, Any]) -> list[Tensor]:
        """Multiply losses of a batch by its share of the step's weight, times the step's parts.

        Args:
            trainer: sums over the processes.
            losses: of the batch, 0-dim.
            batch: holds `label`, and `step_label` where gradients are accumulated; without it the
                mean is over the batches of all processes.
        """
        if self._weigh is None:
            return losses
        target = batch["label"]
        own, step = self._weigh(target), self._weigh(batch.get("step_label", target))
        total = trainer.strategy.reduce(step, reduce_op="sum")
        accumulated = trainer.accumulate_grad_batches if "step_label" in batch else 1
        factor = trainer.world_size * accumulated * own / torch.where(total > 0, total, 1)
        return [loss * factor.to(loss.dtype) for loss in losses]

    def add(self, trainer: Trainer, losses: list[Tensor], batch_idx: int) -> Tensor | None:
        """Take the losses of a batch, 0-dim; return the step's at its last batch, (len(losses),).

        The means are over all processes and the same on each of them.
        """
        self._losses.append(torch.stack(losses).detach())
        complete = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if not (complete or trainer.is_last_batch):
            return None
        mean = torch.stack(self._losses).mean(0)
        self._losses.clear()
        reduced: Tensor = trainer.strategy.reduce(mean, reduce_op="mean")
        return reduced


def parts(trainer: Trainer) -> int:
    """Return the number of batches that make a step, over all processes."""
    return trainer.world_size * trainer.accumulate_grad_batches
