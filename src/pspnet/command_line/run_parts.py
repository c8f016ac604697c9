"""Parts of a run that its trainer takes: callbacks, loggers, and how checkpoints are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ProgressBar,
)

from pspnet.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from pspnet.callbacks.costs import Costs
from pspnet.callbacks.failures.callback import Failures
from pspnet.callbacks.gradient_norms import AuxiliaryGradient
from pspnet.callbacks.opening import Opening
from pspnet.callbacks.progress import progress
from pspnet.callbacks.results import Report
from pspnet.callbacks.run_state import Position, RandomState
from pspnet.callbacks.submission_writer import SubmissionWriter
from pspnet.callbacks.training_scores import TrainingScores
from pspnet.callbacks.wandb_images import WandbImages
from pspnet.checkpoints.resumed_state import CheckedIO, CheckedState
from pspnet.command_line.trainer import Trainer
from pspnet.errors import UserError
from pspnet.runs.interruption import Interruption, Signals


def own_loggers(options: Namespace) -> list[Any]:
    """Return the loggers of the trainer's options, which come after those of the run's folder.

    Raises:
        UserError: for options that leave a run without its folder.
    """
    further = options.logger
    if further is False:
        raise UserError(
            "trainer.logger=false: a run's folder is its logger's; to log less use --wandb=off"
        )
    if options.barebones:
        raise UserError("trainer.barebones=true: a run's folder needs its logger; leave it out")
    if isinstance(further, list):
        return further
    return [] if further in (None, True) else [further]


def callbacks_of_run(
    config: Namespace, signals: Signals, submission: SubmissionWriter, *, fit: bool
) -> list[Callback]:
    """Return the callbacks of a training, or of an evaluation or prediction."""
    return [
        *(_checkpoints(config, signals) if fit else []),
        *(Interruption(signals), Report(), submission),
        *([Failures()] if config.failures else []),
        *(_of_training(config) if fit else []),
        *progress_of(config.trainer),
    ]


def _checkpoints(config: Namespace, signals: Signals) -> list[Callback]:
    """Return the callbacks that save a training, none without checkpoints."""
    if config.trainer.enable_checkpointing is False:
        return []
    return [BestCheckpoint(), LastCheckpoint(config.checkpoint_every, signals)]


def progress_of(options: Namespace) -> list[Callback]:
    """Return what shows progress; nothing where it is off or the trainer's options have another."""
    further = options.callbacks if isinstance(options.callbacks, list) else [options.callbacks]
    other = any(isinstance(callback, ProgressBar) for callback in further)
    return (
        [] if other or options.enable_progress_bar is False or options.barebones else [progress()]
    )


def _of_training(config: Namespace) -> list[Callback]:
    """Return the callbacks of every training, and those that its options ask for."""
    early: list[Callback] = []
    if config.early_stopping is not None:  # plain, as checkpoints hold it
        patience = int(config.early_stopping)
        early.append(EarlyStopping("val/miou", mode="max", patience=patience))
    return [
        Opening(),
        CheckedState(),  # before others take their part
        *(LearningRateMonitor("step"), AuxiliaryGradient(), Costs(), TrainingScores()),
        *(RandomState(), Position()),
        *early,
        *([WandbImages(int(config.wandb_images))] if config.wandb_images else []),
    ]


def with_own_parts(trainer: Trainer, *, resumes: bool) -> Trainer:
    """Let a trainer check the checkpoints that it reads, and leave signals to the run.

    Args:
        trainer: any.
        resumes: whether it may continue a training.
    """
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # none of the user's own
        saved_to = [getattr(callback, "dirpath", None) for callback in trainer.callbacks]  # type: ignore[attr-defined]
        folders = [Path(folder).absolute() for folder in saved_to if folder]
        trainer.strategy.checkpoint_io = CheckedIO(resumes=resumes, folders=folders)
    # Lightning's handlers wait for other processes, and requeue jobs in a way of their own
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer
