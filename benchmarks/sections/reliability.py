"""What a training's reliability costs, beside a training step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from lightning.pytorch import Trainer

from benchmarks import ours
from benchmarks.compare import Comparison, Variant
from benchmarks.plan import Case, Plan
from benchmarks.sections.networks import LR, step_ours
from benchmarks.timing import Call
from pspnet.checkpoints.writing import VerifiedCheckpointIO
from pspnet.losses import CrossEntropy
from pspnet.step_mean import StepMean

HEADS = 2  # losses of a step: main and auxiliary


def comparisons(plan: Plan) -> Iterator[Comparison]:
    """Yield a training step, then its loss's mean over two parts, then a checkpoint of its network.

    Ratios are shares of the step. A checkpoint is written each ten minutes, not each step.
    """
    with TemporaryDirectory(prefix="pspnet-bench-") as folder:
        for case in plan.cases("training step"):
            yield Comparison(
                "reliability",
                str(case),
                [
                    Variant("training step", partial(step, case)),
                    Variant("mean of the loss over the step", partial(mean_over_step, case)),
                    Variant("checkpoint, verified", partial(checkpoint, case, Path(folder))),
                ],
                memory=False,
            )


def step(case: Case) -> Call:
    """Return a training step."""
    return partial(step_ours(case), ours.channels_last(case.images()), case.labels())


def mean_over_step(case: Case) -> Call:
    """Return what a step divided into two accumulated halves adds to its losses."""
    trainer = Trainer(
        accelerator=torch.device(case.device).type,
        devices=1,
        accumulate_grad_batches=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    mean, label = StepMean("step"), case.labels()
    mean.start(trainer, CrossEntropy(), case.classes)
    losses = [torch.ones((), device=case.device) for _ in range(HEADS)]
    batches = [{"label": half, "step_label": label} for half in label.chunk(2, dim=1)]

    def call() -> None:
        for index, batch in enumerate(batches):
            mean.add(trainer, mean.scaled(trainer, losses, batch), index)

    return call


def checkpoint(case: Case, folder: Path) -> Call:
    """Return the writing of weights and momentum, verified, over the previous file."""
    network = case.network()
    optimizer = torch.optim.SGD(network.parameters(), lr=LR, momentum=0.9)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    content = {"state_dict": network.state_dict(), "optimizer_states": [optimizer.state_dict()]}
    return partial(VerifiedCheckpointIO().save_checkpoint, content, folder / "last.ckpt")
