"""The state that a run keeps in its checkpoints: configuration, random generators, position."""

from __future__ import annotations

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
        if trainer.is_global_zero and folder is not None and not self.already_saved:
            text = self.parser.dump(self.config, skip_none=False)
            write_atomic(make_folder(Path(folder)) / "config.yaml", text.encode())
        super().setup(trainer, pl_module, stage)

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
        step: dict[str, int] = next(iter(saved["state_dict"].get("combined_loader", [])), {})
        if not step:  # of version 0.1, or overfitting on a few batches
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        # before its first step, a batch size finder has changed it on purpose
        if step["images"] != data.batch_size and checkpoint["global_step"] > 0:
            raise UserError(
                f"data.batch_size={data.batch_size}: the run was interrupted with batches of "
                f"{step['images']}; leave the option out, or start a new run"
            )
        for tracker in (saved["epoch_loop.batch_progress"][key] for key in ("total", "current")):
            for key, count in tracker.items():
                tracker[key] = count * trainer.accumulate_grad_batches // step["parts"]
