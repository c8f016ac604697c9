"""Where a run logs to: always a CSV file, and Weights & Biases without ever asking for a key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger

Wandb = Literal["auto", "online", "offline", "off"]


def default_loggers(folder: str, *, name: str, wandb: Wandb) -> list[Logger]:
    """The CSV logger, whose folder is the run's, and W&B's.

    Args:
        folder: of all runs.
        name: of the run; its versions are counted.
        wandb: "auto" is W&B's own setting (WANDB_MODE) if there is one, else online if a key is
            configured and offline if not.
    """
    csv = CSVLogger(folder, name=name)
    if wandb == "off":
        return [csv]
    mode = wandb_mode(wandb)
    from wandb import Settings

    _ = csv.experiment  # makes the folder while it is empty, else the logger warns of the other
    return [
        csv,
        WandbLogger(
            project="pspnet",
            name=f"{name}/{Path(csv.log_dir).name}",
            save_dir=csv.log_dir,
            mode=mode,
            settings=Settings(console="off", silent=mode != "online"),
        ),
    ]


def wandb_mode(choice: Wandb) -> str:
    """The mode to start W&B in, one that asks nothing at a prompt."""
    if choice != "auto":
        return choice
    if os.environ.get("WANDB_MODE"):
        return os.environ["WANDB_MODE"]
    import wandb

    return "online" if wandb.login(prompt=False, verify=False) else "offline"
