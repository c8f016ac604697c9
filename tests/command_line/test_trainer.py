"""Lightning's Trainer with this package's reading of its options."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.utils.data import DataLoader

from pspnet.command_line.trainer import Trainer


@pytest.mark.parametrize(("given", "logged"), [(10, 3), (2, 2), (3, 3)])
def test_an_epoch_shorter_than_the_interval_is_logged(
    tmp_path: Path, given: int, logged: int
) -> None:
    trainer = Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        max_epochs=2,
        limit_val_batches=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        log_every_n_steps=given,
    )
    assert trainer.log_every_n_steps == given  # before the data is known
    trainer.fit(BoringModel(), DataLoader(torch.ones(3, 32)))
    assert trainer.log_every_n_steps == logged
