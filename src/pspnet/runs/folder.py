"""The folder of a run: which version may be written, and which run is continued."""

from __future__ import annotations

import csv
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lightning.pytorch.utilities import rank_zero_only

from pspnet.checkpoints.writing import remove_drafts
from pspnet.errors import UserError
from pspnet.files.writing import DRAFT
from pspnet.runs import slurm

LAST = Path("checkpoints", "last.ckpt")
BEFORE_STEPS = ("config.yaml", "wandb", "tensorboard")  # what a run has before its first step
LATEST = "latest"  # link to the newest training of a name
_held: dict[Path, IO[bytes]] = {}  # this process's locks, for as long as it lives
_made: list[Path] = []  # folders that this process has made


def of_checkpoint(path: str | Path) -> Path | None:
    """Return the folder of the run that a checkpoint lies in, None outside of any."""
    path = Path(path)
    folder = (path if len(path.parts) > 4 else path.absolute()).parent.parent
    if not (folder / "config.yaml").is_file():
        return None
    return folder.parent / folder.readlink() if folder.is_symlink() else folder


def newest(runs: Path) -> Path:
    """Return the newest run of a folder that has a checkpoint.

    Raises:
        UserError: if there is none.
    """
    found = (path for path in runs.glob(f"*/{LAST}") if not path.parents[1].is_symlink())
    last = max(found, key=lambda path: path.stat().st_mtime, default=None)
    if last is None:
        raise UserError(f"resume: no run in {runs} has a checkpoint; start one without --resume")
    return last.parent.parent


@rank_zero_only  # the other processes come when the first has begun to write
def claim(folder: Path, *, resumed: Path | None, starts: bool = True) -> None:
    """Take a folder for this process: one that holds no run, or the run that is `resumed`.

    A run that ended before its first checkpoint does not count if another one `starts`.

    Raises:
        UserError: if the folder holds another run, or one that is under way.
    """
    ran = (folder / "config.yaml").is_file()  # each run's first file
    names = [path.name for path in folder.glob("checkpoints/*.ckpt")]
    saved = not all(name.startswith(DRAFT) for name in names)
    saved |= (folder / "results.json").is_file()
    # the first checkpoint is written after the first step, whose successor's rate is logged by then
    saved |= _last_step(folder / "metrics.csv") > 1
    if ran and resumed is None and (saved or not starts):
        remedy = f", or resume it by fit --ckpt_path={folder / LAST}" if saved else ""
        raise UserError(
            f"version={folder.name}: {folder} holds a run; give another version{remedy}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _lock(folder)
        if starts:
            slurm.record(folder)
        remove_drafts(folder / LAST.parent)
    except OSError as error:
        raise UserError(
            f"logs: {folder} cannot be written ({error.strerror}); make room or give another "
            "folder by --logs"
        ) from error


@rank_zero_only
def new_version(runs: Path, prefix: str = "version") -> str | None:
    """Make the folder of the next version_N of a name, never one that another process makes."""
    taken = [path.name.removeprefix(f"{prefix}_") for path in runs.glob(f"{prefix}_*")]
    number = max((int(name) for name in taken if name.isdigit()), default=-1) + 1
    try:
        runs.mkdir(parents=True, exist_ok=True)
        while True:
            with suppress(FileExistsError):
                (runs / f"{prefix}_{number}").mkdir()
                _made.append(runs / f"{prefix}_{number}")
                return f"{prefix}_{number}"
            number += 1
    except OSError as error:
        raise UserError(
            f"logs: {runs} cannot be written ({error.strerror}); make room or give another "
            "folder by --logs"
        ) from error


@rank_zero_only
def link_latest(folder: Path) -> None:
    """Let `latest`, beside a run's folder, lead there; without it where links cannot be made."""
    link = folder.with_name(LATEST)
    draft = folder.with_name(f"{DRAFT}{LATEST}.{os.getpid()}")
    if link.exists() and not link.is_symlink():  # a run of that name
        return
    with suppress(OSError, NotImplementedError):
        draft.symlink_to(folder.name, target_is_directory=True)
        draft.replace(link)


@contextmanager
def discarding_unused() -> Iterator[None]:
    """Remove the folder that was made in this context for a run that was refused.

    Lightning starts the loggers before it asks the data and the network, which may refuse, too.
    """
    try:
        yield
    except BaseException as error:
        removed = {".lock", *(BEFORE_STEPS if isinstance(error, UserError) else ())}
        while _made:
            folder = _made.pop()
            if {path.name for path in folder.glob("*")} <= removed:
                _end_wandb()
                _held.pop(folder, None)
                with suppress(OSError):
                    shutil.rmtree(folder)
        raise


def _end_wandb() -> None:
    """End W&B's run, which writes into its folder until then."""
    if "wandb" in sys.modules:
        import wandb

        if wandb.run is not None:
            wandb.run.finish(exit_code=1)


def place(run: Path) -> dict[str, str]:
    """Return the options that name a run's place, wherever it has been moved."""
    return {"logs": str(run.parents[1]), "name": run.parent.name}


def _last_step(log: Path) -> int:
    """Return the last step of metrics.csv, 0 without any."""
    try:
        with log.open(newline="") as file:
            return max((int(row["step"]) for row in csv.DictReader(file)), default=0)
    except (OSError, ValueError, TypeError, KeyError):  # none, or cut off
        return 0


def _lock(folder: Path) -> None:
    """Lock a run's folder against a second process, until this one ends.

    POSIX locks pass to no loading process, which may outlive a killed one by seconds.
    """
    if folder in _held:
        return
    try:
        import fcntl
    except ImportError:  # Windows has none
        return
    file = (folder / ".lock").open("ab")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(
            f"{folder}: a run is under way there; end it, or give another version"
        ) from error
    except OSError:  # a file system without locks
        pass
    _held[folder] = file
