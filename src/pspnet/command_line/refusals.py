"""Options that a command refuses, each in one line with its remedy."""

from __future__ import annotations

from jsonargparse import Namespace

from pspnet.errors import UserError


def check_options(config: Namespace, *, command: str, checkpoint: str | None) -> None:
    """Refuse options of the run that contradict the command, the trainer or a checkpoint.

    Raises:
        UserError: naming the first of them.
    """
    if config.resume:  # of a file
        raise UserError("resume=true: give --resume in the command, not in a file")
    if config.calibrate:
        _check_calibration(config, command)
    if config.find_lr:
        _check_range_test(config, command, checkpoint)
    if command != "fit" and checkpoint is None:
        raise UserError(f"{command} needs a trained network; give --ckpt_path=FILE.ckpt")


def _check_calibration(config: Namespace, command: str) -> None:
    if command != "validate":
        raise UserError("calibrate: validate alone calibrates; leave it out")
    if config.trainer.fast_dev_run or config.trainer.limit_val_batches == 0:
        raise UserError(
            "calibrate: needs validation images; leave out trainer.fast_dev_run, and "
            "trainer.limit_val_batches=0"
        )


def _check_range_test(config: Namespace, command: str, checkpoint: str | None) -> None:
    if command != "fit":
        raise UserError("find_lr: fit alone tests learning rates; leave it out")
    if checkpoint is not None:
        raise UserError(
            "find_lr: a test begins where a training does; leave out --resume and --ckpt_path, or "
            f"take its weights by --init_from={checkpoint}"
        )
    if config.continue_from is not None:
        raise UserError(
            "find_lr: a test begins where a training does; take the weights by --init_from="
            f"{config.continue_from}"
        )
    if config.trainer.fast_dev_run:
        raise UserError(
            "find_lr: takes more steps than trainer.fast_dev_run; leave one of them out"
        )
