"""The loggers of a run: a CSV file, and Weights & Biases without a prompt or a long wait."""

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
    """Return the CSV logger, whose folder is the run's, and W&B's unless it is off.

    Args:
        folder: folder of all runs.
        name: name of the run.
        version: version of the run; None counts version_0, version_1, …
        wandb: "auto" follows W&B's own setting (WANDB_MODE) if there is one; otherwise the run is
            online if a key is configured, and offline if not.

    Raises:
        UserError: if `folder` is a file, or W&B must be online and no key is configured.
    """
    if Path(folder).exists() and not Path(folder).is_dir():
        raise UserError(f"logs={folder} is a file; name a folder for the runs")
    csv = CSVLogger(folder, name=name, version=version)
    if wandb == "off":
        return [csv]
    _ = csv.experiment  # creates the folder now: it warns about one that W&B has put files into
    return [csv, _wandb_logger(csv, mode=wandb_mode(wandb))]


def wandb_mode(choice: Wandb) -> str:
    """Return the mode to start W&B in, one that asks nothing at a prompt.

    Raises:
        UserError: for "online" without a key.
    """
    import wandb

    wanted = os.environ.get("WANDB_MODE", "auto") if choice == "auto" else choice
    if wanted not in ("auto", "online"):
        return wanted
    if wandb.api.api_key or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return "online"
    if wanted == "online":
        raise UserError(
            "wandb=online: no key is configured; run `wandb login`, set WANDB_API_KEY, or use "
            "--wandb=offline"
        )
    return "offline"


def _wandb_logger(csv: CSVLogger, *, mode: str) -> WandbLogger:
    """Return W&B's logger in `mode`, offline if the server does not answer."""
    import wandb

    def logger(mode: str) -> WandbLogger:
        silent = mode != "online"
        return WandbLogger(
            project="pspnet",
            name=f"{csv.name}/{Path(csv.log_dir).name}",
            save_dir=csv.log_dir,
            mode=mode,
            settings=wandb.Settings(console="off", silent=silent, init_timeout=PATIENCE),
        )

    chosen = logger(mode)
    if mode == "online":
        try:
            _ = chosen.experiment  # starts the run
        except wandb.Error as error:
            reason = str(error).partition("\n")[0]
            rank_zero_warn(f"W&B is out of reach, this run is logged offline: {reason}")
            return logger("offline")
    return chosen
