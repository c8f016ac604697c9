"""Learning rates: per parameter group, and the poly policy (paper, section 5.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from pspnet.errors import UserError, raised_in


def build_optimizer(
    optimizer: Callable[[Any], Optimizer], groups: list[dict[str, Any]]
) -> Optimizer:
    """Return `optimizer(groups)`.

    Raises:
        UserError: for numbers that torch's optimizer refuses, or a learning rate that is not above
            0; the errors of other optimizers pass.
    """
    try:
        built = optimizer(groups)
    except ValueError as error:  # "Invalid momentum value: -1"
        if not raised_in(error).startswith("torch.optim"):
            raise
        raise UserError(f"model.optimizer: {error}") from error
    _check_numbers(built.defaults)
    return built


def _check_numbers(options: Mapping[str, Any]) -> None:
    """Refuse numbers with which no optimizer trains; torch accepts most of them."""
    lr, momentum = float(options["lr"]), options.get("momentum", 0)
    if not 1e-30 < lr < 1e30:  # beyond, float32 knows 0 and infinity
        raise UserError(f"model.optimizer.lr={lr}: give a number above 0")
    if not 0 <= momentum < 1:
        raise UserError(f"model.optimizer.momentum={momentum}: give 0 to 1, 1 excluded")
    for name, value in options.items():
        end = 1e6 if name == "weight_decay" else math.inf
        if isinstance(value, float) and not abs(value) < end:
            raise UserError(f"model.optimizer.{name}={value}: give a finite number, below {end:g}")


def build_scheduler(
    scheduler: Callable[[Optimizer], LRScheduler | ReduceLROnPlateau], optimizer: Optimizer
) -> LRScheduler | ReduceLROnPlateau:
    """Return `scheduler(optimizer)`.

    Raises:
        UserError: for numbers that torch's scheduler refuses, or that are not finite; the errors of
            other schedulers pass.
    """
    try:
        built = scheduler(optimizer)
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        if isinstance(error, UserError) or not raised_in(error).startswith("torch.optim"):
            raise
        raise UserError(f"model.lr_scheduler: {error}") from error
    if isinstance(built, LRScheduler) and not isinstance(built, ReduceLROnPlateau):
        for name, value in vars(built).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise UserError(f"model.lr_scheduler.{name}={value}: give a finite number")
    return built


def set_rates(optimizer: Optimizer, lr: float) -> None:
    """Give each parameter group `lr` times its `lr_factor`; those without one keep their rate."""
    for group in optimizer.param_groups:
        if "lr_factor" in group:
            group["lr"] = lr * group["lr_factor"]
            if "initial_lr" in group:
                group["initial_lr"] = group["lr"]


def poly(step: int, *, total: int, power: float = 0.9, floor: float = 0.0) -> float:
    """Return the factor of the base learning rate: floor + (1 - floor)·(1 - step/total)^power.

    The floor is relative to the base rate, so that groups of different base rates keep their ratio
    at every step. mmsegmentation's is an absolute rate, 1e-4; with its base rate of 0.01 for all
    groups, floor 0.01 gives the same curve.

    Args:
        step: iterations done so far; from `total` on the factor stays at the floor.
        total: iterations of the whole training.
        power: 0.9 in the paper.
        floor: the factor at the end, in [0, 1).
    """
    return floor + (1 - floor) * math.pow(max(0.0, 1 - step / total), power)


class PolyLR(LRScheduler):
    """The poly policy for each parameter group from its own base rate; step it every iteration.

    A group that a callback adds later without a base rate (Lightning's BackboneFinetuning) keeps
    the rate that the callback gives it. A checkpoint holds the step alone: a run resumed with more
    iterations follows the longer curve.

    Args:
        optimizer: its groups' rates are the base rates.
        total_steps: iterations of the whole training; None until `Segmentation` sets those of the
            trainer.
        power: 0.9 in the paper.
        floor: the last factor, relative to the base rate, in [0, 1).
        warmup_steps: iterations over which the factor also grows linearly, from 1/warmup_steps.

    Raises:
        UserError: if a number is out of its range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int | None = None,
        power: float = 0.9,
        floor: float = 0.0,
        warmup_steps: int = 0,
    ) -> None:
        if not 0 < power <= 100:
            raise UserError(f"power={power}: give a power above 0, up to 100; the paper has 0.9")
        if not 0 <= floor < 1:
            raise UserError(f"floor={floor}: give a part of the base learning rate in [0, 1)")
        self.power, self.floor, self.warmup_steps = power, floor, warmup_steps
        self.total_steps: int | None = None
        super().__init__(optimizer)
        if total_steps is not None:
            self.set_total_steps(total_steps)

    def set_total_steps(self, total_steps: int) -> None:
        """Set the length of the training and the rates of its current step.

        Raises:
            UserError: if it is below 1, or the warm-up is not shorter.
        """
        if total_steps < 1:
            raise UserError(
                f"total_steps={total_steps}: the schedule needs the number of iterations, 1 or more"
            )
        if not 0 <= self.warmup_steps < total_steps:
            raise UserError(
                f"warmup_steps={self.warmup_steps}: give 0 to {total_steps - 1} (total_steps - 1)"
            )
        self.total_steps = total_steps
        self.apply()

    def apply(self) -> None:
        """Give each group the rate of the current step."""
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each group at the current step."""
        factor = self.factor(self.last_epoch)
        groups = self.optimizer.param_groups
        return [
            group["initial_lr"] * factor if "initial_lr" in group else group["lr"]
            for group in groups
        ]

    def factor(self, step: int) -> float:
        """Return the factor of the base rates at an iteration; 1 while the length is unknown."""
        if self.total_steps is None:
            return 1.0
        ramp = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return ramp * poly(step, total=self.total_steps, power=self.power, floor=self.floor)

    def state_dict(self) -> dict[str, int]:
        """Return the step; all else comes from the configuration."""
        return {"last_epoch": self.last_epoch, "_step_count": self._step_count}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue at the step of `state_dict`, of this class or of torch's schedulers."""
        self.last_epoch = state_dict["last_epoch"]
        self._step_count = state_dict["_step_count"]
        self.apply()
