"""The loggers of a run: a CSV file, W&B without a prompt or a long wait, and TensorBoard."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_warn

from pspnet.callbacks.metrics_file import MetricsLogger
from pspnet.errors import UserError, warn

Wandb = Literal["auto", "online", "offline", "off"]
MODES = {
    **{mode: mode for mode in ("online", "offline", "disabled", "shared")},
    **{"run": "online", "dryrun": "offline"},  # W&B's older names
}
PATIENCE = 30  # seconds to wait for W&B's server
PROJECT = "pspnet"


@dataclass(frozen=True)
class WandbPlace:
    """The place of a run in W&B; None leaves a part to W&B's own variables and settings.

    Args:
        project: WANDB_PROJECT, or "pspnet", if it is None.
        entity: a user or a team.
        group: runs that W&B shows together.
        job_type: the run's part in its group.
    """

    project: str | None = None
    entity: str | None = None
    group: str | None = None
    job_type: str | None = None


def default_loggers(
    folder: str,
    *,
    name: str,
    version: str | None = None,
    wandb: Wandb,
    place: WandbPlace | None = None,
    tensorboard: bool = False,
    steps: int | None = None,
) -> list[Logger]:
    """Return the CSV logger, whose folder is the run's, W&B's unless it is off, and TensorBoard's.

    Args:
        folder: folder of all runs.
        name: name of the run.
        version: version of the run; None counts version_0, version_1, …
        steps: steps that a run which is continued in its folder has taken; None for a new run.
        wandb: "auto" follows W&B's own setting (WANDB_MODE) if there is one; otherwise the run is
            online if a key is configured, and offline if not.
        place: where W&B puts the run.
        tensorboard: whether to write events into the folder `tensorboard` of the run's.

    Raises:
        UserError: if `folder` is a file or cannot be written, W&B must be online and no key is
            configured, or W&B refuses its variables.
    """
    if Path(folder).exists() and not Path(folder).is_dir():
        raise UserError(f"logs={folder} is a file; name a folder for the runs")
    own = MetricsLogger(folder, name=name, version=version, steps=steps)
    _ = own.experiment  # creates the folder now
    loggers: list[Logger] = [own]
    if wandb != "off" and (found := _wandb_or_none(own, wandb, place or WandbPlace())) is not None:
        loggers.append(found)
    if tensorboard:  # a run that is continued hides what it had logged after its checkpoint
        loggers.append(
            TensorBoardLogger(own.log_dir, name="tensorboard", version="", purge_step=steps)
        )
    return loggers


def _wandb_or_none(own: MetricsLogger, choice: Wandb, place: WandbPlace) -> WandbLogger | None:
    """Return W&B's logger, or None and a line where the system does not let it start."""
    try:
        import wandb as wandb_library
    except OSError as error:  # it makes a temporary folder
        warn(f"no W&B: {error}")
        return None
    try:
        return _wandb_logger(own, place, mode=wandb_mode(choice))
    except UserError:
        raise
    except (wandb_library.Error, ValueError) as error:  # pydantic's are ValueErrors
        raise UserError(f"W&B: {_reason(error)}; correct it, or use --wandb=off") from error


def wandb_mode(choice: Wandb) -> str:
    """Return the mode to start W&B in, one that asks nothing at a prompt.

    Raises:
        UserError: for "online" without a key, or a WANDB_MODE that W&B does not know.
    """
    import wandb

    given = os.environ.get("WANDB_MODE", "")
    if not given.strip():  # as containers pass a variable on that nobody set
        os.environ.pop("WANDB_MODE", None)  # W&B would refuse it
    elif given not in MODES:
        raise UserError(f"WANDB_MODE={given}: give one of {', '.join(MODES)}, or unset it")
    wanted = MODES.get(given.strip(), "auto") if choice == "auto" else choice
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


def _wandb_logger(metrics: MetricsLogger, place: WandbPlace, *, mode: str) -> WandbLogger:
    """Return W&B's logger in `mode`, offline if the server does not answer."""
    import wandb

    from pspnet.callbacks.wandb_logger import OptionalWandbLogger

    ids = sorted(Path(metrics.log_dir, "wandb").glob("*run-*-*"))
    continued = metrics.steps is not None and ids and "WANDB_RUN_ID" not in os.environ
    own = ids[0].name.partition("run-")[2].partition("-")[2] if continued else None

    def logger(mode: str) -> WandbLogger:
        silent = mode != "online"
        return OptionalWandbLogger(
            project=place.project or os.environ.get("WANDB_PROJECT") or PROJECT,
            entity=place.entity,
            group=place.group or os.environ.get("WANDB_RUN_GROUP") or metrics.name,
            job_type=place.job_type,
            name=f"{metrics.name}/{Path(metrics.log_dir).name}",
            save_dir=metrics.log_dir,
            mode=mode,
            resume="allow" if mode in ("online", "shared") else None,  # offline it has no effect
            id=own,
            settings=wandb.Settings(console="off", silent=silent, init_timeout=PATIENCE),
        )

    chosen = logger(mode)
    if mode in ("online", "shared"):
        try:
            _ = chosen.experiment  # starts the run
        except (wandb.Error, OSError) as error:
            rank_zero_warn(f"W&B is out of reach, this run is logged offline: {_reason(error)}")
            return logger("offline")
    return chosen


def _reason(error: Exception) -> str:
    """Return the first line of an error, or the variable and value that W&B's settings refuse."""
    if hasattr(error, "errors"):  # pydantic's
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}={first['input']!r}: {first['msg']}"
    return str(error).partition("\n")[0]
