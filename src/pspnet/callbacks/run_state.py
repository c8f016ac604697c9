"""The state that a run keeps in its checkpoints: configuration and random generators."""

from __future__ import annotations

from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger


class SaveConfig(SaveConfigCallback):
    """Saves the resolved configuration beside the results, in W&B, and in every checkpoint."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_hyperparams(self.plain())

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["config"] = self.plain()

    def plain(self) -> dict[str, Any]:
        """Return the configuration as plain data."""
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
