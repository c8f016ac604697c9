"""The folder of a run: which version may be written, and its checkpoints."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from pspnet.errors import UserError


@rank_zero_only  # the other processes come when the first has begun to write
def claim(folder: Path, *, resumed: str | None) -> None:
    """Refuse a folder that holds a run, unless that run is resumed: then its log is kept aside.

    Raises:
        UserError: if the folder holds another run.
    """
    if not (folder / "config.yaml").is_file():  # each run's first file
        return
    if resumed is None or folder.resolve() not in Path(resumed).resolve().parents:
        raise UserError(
            f"version={folder.name}: {folder} holds a run; give another version, or resume it by "
            f"fit --ckpt_path={folder}/checkpoints/last.ckpt"
        )
    log, kept = folder / "metrics.csv", len(list(folder.glob("metrics.before_*.csv")))
    if log.is_file():  # Lightning's logger would delete it
        log.rename(folder / f"metrics.before_{kept + 1}.csv")


def best_and_last() -> list[ModelCheckpoint]:
    """Return the callbacks that write best.ckpt, by val/miou, and last.ckpt, after every epoch."""
    best = ModelCheckpoint(
        filename="best", monitor="val/miou", mode="max", enable_version_counter=False
    )
    # the `save_last` of `best` would save only when the best improves
    last = ModelCheckpoint(
        filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    return [best, last]
