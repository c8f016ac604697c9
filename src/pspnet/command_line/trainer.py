"""Lightning's Trainer with its refusals in one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException

from pspnet.errors import UserError, raised_in
from pspnet.files.paths import local_path

# modules that read options; `self.log`, where a caller's bug ends, is in others
REFUSES = (
    *(f"lightning.pytorch.{part}" for part in ("callbacks", "loops", "profilers", "strategies")),
    *("lightning.pytorch.trainer", "lightning.pytorch.utilities", "lightning.fabric"),
)
MOST_DEVICES = 256
SAID = (MisconfigurationException, ValueError, RuntimeError)


class Trainer(lightning.Trainer):
    """Lightning's Trainer, of which 1 is one batch and 1.0 all of them.

    Lightning's own annotations are unions of int and float, and typing keeps one order for all
    unions of the same types: jsonargparse would read every number as a float.

    Args:
        limit_train_batches: training batches per epoch, or their share of all.
        limit_val_batches: validation batches, or their share of all.
        limit_test_batches: test batches, or their share of all.
        limit_predict_batches: batches to predict on, or their share of all.
        overfit_batches: batches to train and validate on, or their share of all; 0 is off.
        val_check_interval: batches between validations, their share of an epoch, or a time.
        default_root_dir: folder of what is written without a run's folder.
        options: Lightning's other options.

    Raises:
        UserError: for values that Lightning refuses.
    """

    def __init__(
        self,
        *,
        limit_train_batches: int | float | None = None,
        limit_val_batches: int | float | None = None,
        limit_test_batches: int | float | None = None,
        limit_predict_batches: int | float | None = None,
        overfit_batches: int | float = 0.0,
        val_check_interval: int | float | str | timedelta | dict[str, int] | None = None,
        default_root_dir: str | Path | None = None,
        **options: Any,
    ) -> None:
        if default_root_dir is not None:
            local_path(default_root_dir, option="trainer.default_root_dir")
        with refusals_in_one_line(TypeError, KeyError, OSError, modules=(*REFUSES, "torch.")):
            super().__init__(
                limit_train_batches=limit_train_batches,
                limit_val_batches=limit_val_batches,
                limit_test_batches=limit_test_batches,
                limit_predict_batches=limit_predict_batches,
                overfit_batches=overfit_batches,
                val_check_interval=val_check_interval,
                default_root_dir=default_root_dir,
                **options,
            )
        if self.num_devices > MOST_DEVICES:  # Lightning would start them one after the other
            raise UserError(f"trainer.devices={self.num_devices}: give {MOST_DEVICES} or less")

    @property
    def log_every_n_steps(self) -> int:
        """Steps between two logged ones; of a short epoch its last step is logged."""
        steps = self.num_training_batches  # infinite before the data is there
        return max(1, min(self._log_every_n_steps, int(min(steps, sys.maxsize))))

    @log_every_n_steps.setter
    def log_every_n_steps(self, steps: int) -> None:
        self._log_every_n_steps = steps

    def _run(self, *args: Any, **options: Any) -> Any:
        with refusals_in_one_line():  # some options meet the data only here
            return super()._run(*args, **options)


@contextmanager
def refusals_in_one_line(
    *kinds: type[Exception], modules: tuple[str, ...] = REFUSES
) -> Iterator[None]:
    """Turn errors that Lightning raises about options into a UserError; all others pass.

    jsonargparse wraps those of a callback's or logger's constructor.
    """
    caught: tuple[type[Exception], ...] = (*SAID, *kinds)
    try:
        yield
    except caught as error:
        origin: BaseException = error
        while raised_in(origin).startswith("jsonargparse") and origin.__cause__ is not None:
            origin = origin.__cause__
        where = raised_in(origin)
        bug = ".logger_" in where or where.startswith("lightning.pytorch.loops.optimization")
        if isinstance(origin, UserError) or not where.startswith(modules) or bug:
            raise
        raise UserError(f"trainer: {origin}") from error
