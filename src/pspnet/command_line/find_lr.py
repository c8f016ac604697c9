"""`pspnet fit --find_lr`: test learning rates from a training's start, report, and end."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import Namespace
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import BaseFinetuning, Checkpoint, ProgressBar
from lightning.pytorch.utilities import rank_zero_only

from pspnet.callbacks.figures.learning_rates import draw_learning_rates
from pspnet.callbacks.range_test import RangeTest, smoothed, suggestion
from pspnet.callbacks.run_state import SaveConfig
from pspnet.errors import UserError, note
from pspnet.files.paths import run_name
from pspnet.files.text import short_path
from pspnet.files.writing import optional, write_atomic
from pspnet.runs import folder as run_folder


def trainer_options(config: Namespace, *, steps: int) -> dict[str, Any]:
    """Make the folder of a test; return what the test takes in place of the trainer's options.

    Callbacks that save are left out, and those of Lightning that neither freeze layers nor show
    progress, as they act on whole trainings.
    """
    given = config.trainer.callbacks or []
    given = given if isinstance(given, list) else [given]
    kept = [callback for callback in given if _takes_part(callback)]
    if left := [type(callback).__name__ for callback in given if callback not in kept]:
        rank_zero_only(note)(f"find_lr: without {', '.join(left)}")
    return {
        **dict.fromkeys(("min_steps", "min_epochs", "max_time", "val_check_interval")),
        **{"max_steps": steps, "max_epochs": -1},
        **{"limit_val_batches": 0, "check_val_every_n_epoch": 1},
        **{"callbacks": kept, "logger": False, "enable_checkpointing": False},
        "default_root_dir": _make_folder(config),
    }


def _make_folder(config: Namespace) -> str | None:
    """Make `find_lr_N` beside the runs of the name, if no version is given, and return it.

    Returns:
        None on all processes but the first, which tells them.

    Raises:
        UserError: if the version holds a run, or cannot be written.
    """
    runs = Path(config.logs, config.name)
    version = config.version or run_folder.new_version(runs, "find_lr")
    if version is None:
        return None
    run_folder.claim(runs / version, resumed=None, starts=False)
    return str(runs / version)


def _takes_part(callback: Callback) -> bool:
    foreign = not type(callback).__module__.startswith("lightning.")
    part = foreign or isinstance(callback, BaseFinetuning | ProgressBar)
    return part and not isinstance(callback, Checkpoint)


@rank_zero_only
def report(trainer: Trainer, test: RangeTest) -> None:
    """Write curve, points and configuration of a test, and print the rate that it suggests.

    Raises:
        UserError: if the loss was not finite from the first step on.
    """
    if not test.losses:
        raise UserError(
            f"find_lr: {test.diverged or 'no step was taken'}, before anything was learned; check "
            "the data, or give --trainer.precision=32-true"
        )
    folder = Path(trainer.default_root_dir)
    rates, losses = np.array(test.rates), np.array(test.losses)
    curve, found = smoothed(test.losses), suggestion(test.rates, test.losses)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, SaveConfig):
            callback.write(folder)
    write_atomic(folder / "learning_rate.csv", _text(rates, losses, curve))
    with optional("learning_rate.png"):
        title, out = f"{run_name(folder)}: learning rate range test", folder / "learning_rate.png"
        draw_learning_rates(rates, losses, curve, out, suggested=found, title=title)
    if test.diverged:
        print(f"ended after {len(rates)} of {test.steps} steps: {test.diverged}")
    if found is None:
        print(f"no learning rate to suggest: the loss of {len(rates)} steps does not fall")
    else:
        rate = f"{rates[found]:.2g}"
        print(f"the loss falls fastest at {rate}; train with --model.optimizer.lr={rate}")
    print(f"learning_rate.png, learning_rate.csv and config.yaml: {short_path(str(folder))}")


def _text(*columns: np.ndarray) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["learning_rate", "loss", "smoothed_loss"])
    writer.writerows(np.stack(columns, axis=1).tolist())
    return text.getvalue().encode()
