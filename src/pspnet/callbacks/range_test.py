"""The learning rate range test: the loss of each step while the rate grows from step to step."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch.optim.lr_scheduler import ExponentialLR

from pspnet.task import Segmentation

START, END, STEPS = 1e-7, 10.0, 100  # fastai's
SMOOTHING = 0.98
DIVERGED = 4.0  # times the least smoothed loss
FIRST, LAST = 10, 1  # points at both ends that are no suggestion, as in Lightning


class RangeTest(Callback):
    """Raises the learning rate exponentially, every step of a training, and keeps the losses.

    The optimizer is the training's, and its groups keep the ratio of their rates (`lr_factor`);
    the schedule is replaced. The trainer must be given `steps` as `max_steps`. The test ends early
    where the smoothed loss is four times its minimum, or the loss is not finite.

    Sources: Smith, arXiv 1506.01186, section 3.3; fastai's callback/schedule.py (`LRFinder`) for
    range, smoothing and end. Lightning's own gives one rate to all parameter groups.

    Args:
        start, end: the first and last rate of the encoder.
        steps: steps of the optimizer.
    """

    def __init__(self, start: float = START, end: float = END, steps: int = STEPS) -> None:
        self.start, self.end, self.steps = start, end, steps
        self.rates: list[float] = []  # of each step; as `model.optimizer.lr`
        self.losses: list[float] = []  # finite ones
        self.diverged = ""  # how the test has ended early
        self._rate = start

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, Segmentation)
        growth = (self.end / self.start) ** (1 / (self.steps - 1))
        pl_module.lr, pl_module.checks_loss = self.start, False
        pl_module.lr_scheduler = partial(ExponentialLR, gamma=growth)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        rank_zero_info(f"learning rates: {self.start:g} to {self.end:g} in {self.steps} steps")

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        groups = trainer.optimizers[0].param_groups
        scaled = next(group for group in groups if "lr_factor" in group)
        self._rate = float(scaled["lr"]) / scaled["lr_factor"]

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == len(self.rates) or self.diverged:
            return  # within accumulated batches
        loss = float(trainer.callback_metrics["train/loss"])  # the same on all processes
        if math.isfinite(loss):
            self.rates.append(self._rate)
            self.losses.append(loss)
            curve = smoothed(self.losses)
            limit = DIVERGED * curve.min()
            if curve[-1] <= limit or limit <= 0:  # some losses begin below 0
                return
            said = (
                f"the smoothed loss is {curve[-1]:.3g}, {DIVERGED:g} times its least value or more,"
            )
        else:
            said = f"the loss is {loss}"
        self.diverged = f"{said} at a learning rate of {self._rate:.2g}"
        trainer.should_stop = True


def smoothed(losses: list[float]) -> np.ndarray:
    """Return the exponential moving average of losses, without its bias to 0; (n,)."""
    average, curve = 0.0, np.zeros(len(losses))
    for place, loss in enumerate(losses):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        curve[place] = average / (1 - SMOOTHING ** (place + 1))
    return curve


def suggestion(rates: list[float], losses: list[float]) -> int | None:
    """Return the index of the rate at which the smoothed loss falls fastest on a log axis.

    Args:
        rates: ascending, (n,).
        losses: not smoothed, (n,).

    Returns:
        None for too few points, or where the loss never falls.
    """
    if len(losses) < FIRST + LAST + 2:
        return None
    slope = np.gradient(smoothed(losses), np.log(rates))[FIRST:-LAST]
    return FIRST + int(slope.argmin()) if slope.min() < 0 else None
