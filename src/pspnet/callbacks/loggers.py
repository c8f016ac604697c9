"""Where a run logs to: always a CSV file, and Weights & Biases without ever asking or waiting."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_warn

from pspnet.errors import UserError

Wandb = Literal["auto", "online", "offline", "off"]
PATIENCE = 30  # seconds to wait for W&B's server


def default_loggers(
    folder: str, *, name: str, version: str | None = None, wandb: Wandb
) -> list[Logger]:
    """The CSV logger, whose folder is the run's, and W&B's.

    Args:
        folder: of all runs.
        name: of the run.
        version: of the run; None counts them, version_0, version_1, …
        wandb: "auto" is W&B's own setting (WANDB_MODE) if there is one, else online if a key is
            configured and offline if not.

    Raises:
        NotADirectoryError: if `folder` is a file.
        ValueError: if W&B is to be online and no key is configured.
    """
    if Path(folder).exists() and not Path(folder).is_dir():
        raise UserError(f"logs={folder} is a file; name a folder for the runs")
    csv = CSVLogger(folder, name=name, version=version)
    if wandb == "off":
        return [csv]
    _ = csv.experiment  # makes the folder while it is empty, else the logger warns of the other
    mode = wandb_mode(wandb)
    if mode == "online":
        from wandb.errors import Error

        logger = _wandb(csv, mode=mode)
        try:
            _ = logger.experiment  # starts the run
        except Error as error:
            reason = str(error).partition("\n")[0]
            rank_zero_warn(f"W&B is out of reach, this run is logged offline: {reason}")
            mode = "offline"
        else:
            return [csv, logger]
    return [csv, _wandb(csv, mode=mode)]


def wandb_mode(choice: Wandb) -> str:
    """The mode to start W&B in, one that asks nothing at a prompt.

    Raises:
        ValueError: for "online" without a key.
    """
    import wandb

    wanted = os.environ.get("WANDB_MODE", "auto") if choice == "auto" else choice
    if wanted not in ("auto", "online"):
        return wanted
    if wandb.login(prompt=False, verify=False):
        return "online"
    if wanted == "online":
        raise UserError(
            "wandb=online: no key is configured; run `wandb login`, set WANDB_API_KEY, or use "
            "--wandb=offline"
        )
    return "offline"


def _wandb(csv: CSVLogger, *, mode: str) -> WandbLogger:
    from wandb import Settings

    return WandbLogger(
        project="pspnet",
        name=f"{csv.name}/{Path(csv.log_dir).name}",
        save_dir=csv.log_dir,
        mode=mode,
        settings=Settings(console="off", silent=mode != "online", init_timeout=PATIENCE),
    )
