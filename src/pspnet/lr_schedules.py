"""The poly learning rate policy (paper, section 5.1)."""

from __future__ import annotations

import math
from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from pspnet.errors import UserError


def poly(step: int, *, total: int, power: float = 0.9, floor: float = 0.0) -> float:
    """Factor of the base learning rate at an iteration: floor + (1 - floor)·(1 - step/total)^power.

    The floor is relative to the base rate, so that groups of different base rates keep their ratio
    at every step. mmsegmentation's is an absolute rate, 1e-4; with its base rate of 0.01 for all
    groups, floor 0.01 gives the same curve.

    Args:
        step: iterations done so far; from `total` on the factor stays at the floor.
        total: iterations of the whole training.
        power: 0.9 in the paper.
        floor: the factor at the end, in [0, 1).

    Raises:
        ValueError: if total or power is not above 0, or floor is outside [0, 1).
    """
    if not 0 < total < math.inf:
        raise UserError(f"total={total}: the schedule needs the number of iterations, 1 or more")
    if power <= 0:
        raise UserError(f"power={power}: give a power above 0; the paper has 0.9")
    if not 0 <= floor < 1:
        raise UserError(f"floor={floor}: give a part of the base learning rate in [0, 1)")
    return floor + (1 - floor) * math.pow(max(0.0, 1 - step / total), power)


def poly_schedule(
    optimizer: Optimizer,
    *,
    total_steps: int,
    power: float = 0.9,
    floor: float = 0.0,
    warmup_steps: int = 0,
) -> LambdaLR:
    """The poly policy for each parameter group from its own base rate; step it every iteration.

    The checkpointed state holds the step and the base rates, while `total_steps` and the other
    numbers are those given here: a run resumed with more iterations follows the longer curve.

    Args:
        optimizer: its groups' rates are the base rates.
        total_steps: iterations of the whole training.
        power: 0.9 in the paper.
        floor: the last factor, relative to the base rate, in [0, 1).
        warmup_steps: iterations over which the factor also grows linearly, from 1/warmup_steps.

    Raises:
        ValueError: if a number is out of its range (see `poly`), or the warm-up is not shorter than
            the training.
    """
    poly(0, total=total_steps, power=power, floor=floor)  # refuses wrong numbers
    if not 0 <= warmup_steps < total_steps:
        raise UserError(
            f"warmup_steps={warmup_steps}: give 0 to {total_steps - 1} (total_steps - 1)"
        )
    # partial, not a lambda: it can be pickled; not an object with attributes: LambdaLR would
    # put those of the checkpoint in place of the configured ones
    factor = partial(
        _warm_poly, total=total_steps, power=power, floor=floor, warmup_steps=warmup_steps
    )
    return LambdaLR(optimizer, factor)


def _warm_poly(step: int, *, total: int, power: float, floor: float, warmup_steps: int) -> float:
    ramp = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return ramp * poly(step, total=total, power=power, floor=floor)
