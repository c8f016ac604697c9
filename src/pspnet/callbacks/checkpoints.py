"""When a training is saved: the best and the last state, between two steps of the optimizer."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from jsonargparse.typing import register_type
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from pspnet.errors import UserError
from pspnet.files.text import pspnet_command, short_path
from pspnet.files.writing import atomic
from pspnet.runs.interruption import Signals

UNITS = {"second": 1, "minute": 60, "hour": 3600}


class Every:  # no dataclass, as jsonargparse would make its fields options
    """An interval between checkpoints: "500 steps" of the optimizer, "10 minutes", "1.5 hours".

    Raises:
        UserError: for anything else.
    """

    def __init__(self, text: str) -> None:
        match = re.fullmatch(r"(\d+(?:\.\d+)?) *(step|second|minute|hour)s?", text.strip())
        count, unit = (float(match[1]), match[2]) if match else (0.0, "")
        if not 0 < count < 1e9 or (unit == "step" and count != int(count)):
            raise UserError(f"checkpoint_every={text}: give `N steps` or `T minutes`, above 0")
        self.text = text
        self.steps = int(count) if unit == "step" else None
        self.seconds = None if unit == "step" else count * UNITS[unit]

    def __str__(self) -> str:
        return self.text

    def is_over(self, *, steps: int, seconds: float) -> bool:
        """Return whether the interval has passed, as so many steps and seconds have."""
        if self.steps is not None:
            return steps >= self.steps
        return self.seconds is not None and seconds >= self.seconds


register_type(Every)


class BestCheckpoint(ModelCheckpoint):
    """Writes best.ckpt whenever val/miou is higher than before, an interruption included."""

    state_key = "best"

    def __init__(self) -> None:
        super().__init__(
            filename="best", monitor="val/miou", mode="max", enable_version_counter=False
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the best score so far; a run in a new folder takes best.ckpt along."""
        before = Path(state_dict["best_model_path"])
        path = Path(str(self.dirpath), "best.ckpt")
        if not state_dict["best_model_path"] or not (before.is_file() or path.is_file()):
            return
        if not path.is_file():
            _copy(before, path)
        score = state_dict["best_model_score"]
        own = {"dirpath": self.dirpath, "best_k_models": {str(path): score}}
        paths = dict.fromkeys(("best_model_path", "kth_best_model_path"), str(path))
        super().load_state_dict({**state_dict, **own, **paths})


class LastCheckpoint(Checkpoint):
    """Writes last.ckpt after the first step, every so often, after each epoch, and when stopped.

    The first process decides and writes alone, as it holds the entire state; the others wait for it
    in the next step, and need not agree on anything.

    Args:
        every: the interval.
        signals: that ask the training to stop.
    """

    state_key = "last"

    def __init__(self, every: Every, signals: Signals) -> None:
        self.every, self.signals = every, signals
        self.path = Path()
        self.final = ""  # the path, once the training has come to its end
        self._step, self._at = 0, 0.0  # of the last one
        self._due = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy | DeepSpeedStrategy):
            raise UserError(
                f"trainer.strategy={type(trainer.strategy).__name__}: its checkpoints are written "
                "by all processes together, which is not supported; use ddp"
            )
        folder = trainer.log_dir or trainer.default_root_dir  # asks the first process
        self.path = Path(folder, "checkpoints", "last.ckpt")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step, self._at = trainer.global_step, time.monotonic()
        self._due = self._step == 0 or trainer.ckpt_path is None  # of another code's training
        self.signals.waits = True
        if trainer.ckpt_path is not None:
            self._say(Path(trainer.ckpt_path))

    # Here the step before is complete: its metrics are logged, and its validation is done.
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx % trainer.accumulate_grad_batches:
            return
        stops = self.signals.received is not None
        if trainer.global_step > self._step and (stops or self._is_due(trainer)):
            with _between_steps(trainer):
                self._save(trainer)
        if stops:
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._due = True  # once the epoch is complete: before the next step, or at the end

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save(trainer)
        self.final = "" if trainer.fast_dev_run else str(self.path)  # type: ignore[attr-defined]
        self._stop(trainer)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self.signals.received is None:
            return
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._save(trainer)  # `Position` has a resumed run begin this validation
        self._stop(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        for logger in trainer.loggers:
            logger.save()  # whoever resumes from a step finds its metrics

    def _is_due(self, trainer: Trainer) -> bool:
        steps, seconds = trainer.global_step - self._step, time.monotonic() - self._at
        return self._due or self.every.is_over(steps=steps, seconds=seconds)

    def _save(self, trainer: Trainer) -> None:
        """Write last.ckpt without the other processes, whom `Trainer.save_checkpoint` waits for."""
        if not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        trainer.strategy.save_checkpoint(checkpoint, str(self.path))
        self._step, self._at, self._due = trainer.global_step, time.monotonic(), False
        self._say(self.path)

    def _say(self, path: Path) -> None:
        command = pspnet_command("fit", f"--ckpt_path={short_path(str(path))}")
        self.signals.remedy = f" after step {self._step}; resume with: {command}"

    def _stop(self, trainer: Trainer) -> None:
        """End the run if a signal has come, as the state is saved; not before the first process."""
        if trainer.is_global_zero or self.signals.is_overdue:
            self.signals.waits = False
            self.signals.check()


@contextmanager
def _between_steps(trainer: Trainer) -> Iterator[None]:
    """Let Lightning's counters say that the next batch has not begun, as it will begin again."""
    loop = trainer.fit_loop.epoch_loop
    progress, stepped = loop.batch_progress, loop._batches_that_stepped
    before = deepcopy(progress.state_dict())
    for part in (progress.total, progress.current):
        part.ready = part.completed
    progress.is_last_batch = False
    fetcher = trainer.fit_loop._data_fetcher
    if fetcher is not None and loop._should_check_val_fx(fetcher):
        loop._batches_that_stepped -= 1  # which a restart adds where it skips that validation
    try:
        yield
    finally:
        progress.load_state_dict(before)
        loop._batches_that_stepped = stepped


@rank_zero_only
def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic(target) as draft:
        shutil.copyfile(source, draft)
