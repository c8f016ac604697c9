"""The folder of a run, which is that of its loggers, by the command that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace
from lightning.pytorch.loggers import Logger

from pspnet.callbacks.loggers import WandbPlace, default_loggers
from pspnet.runs import folder as run_folder
from pspnet.runs import resuming


def loggers_of_run(
    config: Namespace, *, command: str, checkpoint: str | None, steps: int, placed: bool
) -> list[Logger]:
    """Make and claim the run's folder, and return its loggers; none for predictions alone.

    A training has a version of its name. All else has a folder in that of its checkpoint's
    training, unless a place is given or the checkpoint lies elsewhere.

    Args:
        config: options of the command.
        command: fit, validate, test or predict.
        checkpoint: path of the checkpoint, if one is given.
        steps: steps that the checkpoint's training had taken.
        placed: whether logs, name or version are given.
    """
    if command == "predict" and config.output.folder is not None:
        return []
    run = resuming.continued(config, checkpoint) if command == "fit" else None
    beside = None
    if command != "fit" and not placed and checkpoint is not None:
        beside = run_folder.of_checkpoint(checkpoint)
    if beside is not None:
        config.logs, config.name = str(beside.parent), beside.name
    runs = Path(config.logs, config.name)
    version = run.name if run else config.version
    if version is None:
        version = run_folder.new_version(runs, command if beside else "version")
    if version is not None:  # None is another process's
        run_folder.claim(runs / version, resumed=run, starts=command == "fit")
    return default_loggers(
        config.logs,
        name=config.name,
        version=version,
        wandb=config.wandb,
        place=WandbPlace(
            config.wandb_project, config.wandb_entity, config.wandb_group, job_type=command
        ),
        tensorboard=config.tensorboard,
        steps=steps if run else None,
    )


def log_best(loggers: Sequence[Logger], checkpoint: str, config: Namespace) -> None:
    """Give W&B the best checkpoint of a training as an artifact, if the options say so."""
    if not config.wandb_checkpoint or config.wandb == "off":
        return
    from pspnet.callbacks.wandb_logger import OptionalWandbLogger

    for logger in loggers:
        if isinstance(logger, OptionalWandbLogger):
            logger.log_checkpoint(checkpoint, name=config.name)
