"""The state that a run keeps in its checkpoints: configuration, random generators, position."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.trainer.states import TrainerFn

from pspnet.errors import UserError
from pspnet.files.writing import make_folder, write_atomic


class SaveConfig(SaveConfigCallback):
    """Saves the resolved configuration beside the results, in W&B, and in every checkpoint."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        folder = trainer.log_dir  # asks the first process, so all must ask
        if not trainer.loggers:  # predictions alone, or a test that writes it at its end
            folder = None
        if trainer.is_global_zero and folder is not None and not self.already_saved:
            self.write(Path(folder))
        super().setup(trainer, pl_module, stage)

    def write(self, folder: Path) -> None:
        """Write config.yaml into a folder."""
        text = self.parser.dump(self.config, skip_none=False)
        write_atomic(make_folder(folder) / "config.yaml", text.encode())

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_hyperparams(self.plain)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["config"] = self.plain

    @cached_property
    def plain(self) -> dict[str, Any]:
        """The configuration as plain data; every checkpoint has it, and writing it takes long."""
        config: dict[str, Any] = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
        return config


class RandomState(Callback):
    """Saves torch's random states, so that a resumed run draws the numbers it would have drawn."""

    state_key = "Randomness"  # the name in checkpoints since the first ones

    def __init__(self) -> None:
        self._states: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._states = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._states:
            torch.set_rng_state(self._states["cpu"])
            if len(self._states["cuda"]) == torch.cuda.device_count():
                torch.cuda.set_rng_state_all(self._states["cuda"])


class Position(Callback):
    """Lets a run resume after any step: at its next batch, or at the validation that is due.

    Lightning's progress, as it is while a batch ends, would skip a validation that is due, and
    counts batches, whose number per step is another with another `accumulate_grad_batches`.
    """

    def __init__(self) -> None:
        self._validates = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _check_steps(trainer)
        loop = trainer.fit_loop
        progress = loop.epoch_progress
        if loop.is_resuming and progress.current.ready == progress.current.processed:  # type: ignore[attr-defined]
            # the epoch is complete; with max_steps Lightning would run it again, without batches
            for tracker in (progress.total, progress.current):
                tracker.completed = tracker.processed  # type: ignore[attr-defined]
            loop.reset_restart_stage()
            loop._restarting = loop.epoch_loop.restarting = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # otherwise a plateau's scheduler misses the end of the first epoch
        trainer.fit_loop._restarting = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validates = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validates = False

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._validates = False

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            return
        loop = trainer.fit_loop.epoch_loop
        saved = checkpoint["loops"]["fit_loop"]
        batches = saved["epoch_loop.batch_progress"]
        in_batch = batches["current"]["completed"] < batches["current"]["processed"]
        fetcher = trainer.fit_loop._data_fetcher
        due = self._validates or (
            in_batch and fetcher is not None and loop._should_check_val_fx(fetcher)
        )
        if in_batch:
            for tracker in (batches["total"], batches["current"]):
                tracker["completed"] = tracker["processed"]
            # Lightning counts the step after its validation
            saved["epoch_loop.state_dict"]["_batches_that_stepped"] += not due
        # one validation batch that was started and not processed: it is repeated from its beginning
        if not (in_batch or self._validates):
            _keep_epoch_open(trainer, saved)
        started = {"ready": int(due), "started": int(due), "processed": 0, "completed": 0}
        none = dict.fromkeys(started, 0)
        validation = saved["epoch_loop.val_loop.batch_progress"]
        saved["epoch_loop.val_loop.batch_progress"] = {
            **validation,
            "total": started,
            "current": none,
        }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            return
        saved = checkpoint["loops"]["fit_loop"]
        step = _step_size(saved["state_dict"])
        if step is None:
            return
        images, parts = step
        data = trainer.datamodule  # type: ignore[attr-defined]
        # before its first step, a batch size finder has changed it on purpose
        if images != data.batch_size and checkpoint["global_step"] > 0:
            raise UserError(
                f"data.batch_size={data.batch_size}: the run was interrupted with batches of "
                f"{images}; leave the option out, or start a new run"
            )
        for tracker in (saved["epoch_loop.batch_progress"][key] for key in ("total", "current")):
            for key, count in tracker.items():
                tracker[key] = count * trainer.accumulate_grad_batches // parts


def _check_steps(trainer: Trainer) -> None:
    """Refuse epochs and validations that end within the accumulated batches of a step."""
    accumulated, validation = trainer.accumulate_grad_batches, trainer.val_check_batch
    for name, batches in (
        ("limit_train_batches", trainer.num_training_batches),
        ("val_check_interval", validation),
    ):
        if batches not in (None, math.inf) and batches % accumulated:
            raise UserError(
                f"trainer.{name} is {batches} batches, within a step of {accumulated} accumulated "
                "ones; give a multiple"
            )


def _keep_epoch_open(trainer: Trainer, saved: dict[str, Any]) -> None:
    """Save an epoch that max_steps or a stop has ended early as one that a longer run completes."""
    epochs, batches = saved["epoch_progress"], saved["epoch_loop.batch_progress"]["current"]
    complete = epochs["current"]["ready"] == epochs["current"]["processed"]
    if not complete or not 0 < batches["ready"] < trainer.num_training_batches:
        return
    for tracker in (epochs["total"], epochs["current"]):
        tracker["processed"] = tracker["completed"] = tracker["processed"] - 1
    fetcher, stops = trainer.fit_loop._data_fetcher, trainer.should_stop
    trainer.should_stop = False  # by which a validation would always be due
    if fetcher is not None and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher):
        saved["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1  # as a restart skips it
    trainer.should_stop = stops


def _step_size(state: dict[str, Any]) -> tuple[int, int] | None:
    """Return images and batches per step of a `TrainingLoader`'s state, None for another's."""
    loaders = state.get("combined_loader")
    first: Any = loaders[0] if isinstance(loaders, list) and loaders else {}
    first = first if isinstance(first, dict) else {}
    images, parts = (first.get(key) for key in ("images", "parts")) if first else (0, 0)
    right = all(isinstance(size, int) and size > 0 for size in (images, parts))
    return (images, parts) if right else None
