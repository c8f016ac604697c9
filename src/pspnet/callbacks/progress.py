"""Progress of a run: bars on a terminal, and a line per epoch elsewhere, as in a file."""

from __future__ import annotations

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.table import Column
from rich.text import Text

from pspnet.files.text import duration

FIRST_LINE = 10.0  # seconds of steps until the first line estimates the whole training
HEARTBEAT = 600.0  # seconds between lines within a long epoch
WIDE = 100  # characters of a terminal from which the bar is longer
REFRESH = 1.0  # seconds between readings of the metrics, for each of which a GPU is waited for


def progress() -> ProgressBar:
    """Return the callback that shows progress where stderr leads."""
    return ProgressBars() if Console(stderr=True).is_terminal else ProgressLines()


class _OwnProgress(ProgressBar):
    """The clock of a training, and its numbers as text, for both forms."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._start, self._first_step = 0.0, 0

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start, self._first_step = time.monotonic(), trainer.global_step

    def done(self, trainer: Trainer) -> int:
        """Return the steps since the start of this process."""
        return trainer.global_step - self._first_step

    def left(self, trainer: Trainer) -> str:
        """Return how long the rest of the training will take, validations included."""
        done, rest = self.done(trainer), _steps(trainer) - trainer.global_step
        if done <= 0 or not 0 <= rest < float("inf"):
            return "?"
        return duration((time.monotonic() - self._start) / done * rest)

    def epoch(self, trainer: Trainer) -> str:
        """Return "epoch 3 of 6", and without a last epoch "epoch 3"."""
        now, last = trainer.current_epoch + 1, trainer.max_epochs
        if last is None or last < 0:
            return f"epoch {now}"
        return f"epoch {min(now, last)} of {last}"

    def numbers(self, trainer: Trainer) -> list[str]:
        """Return the metrics that are marked for progress bars; the learning rate, if any, last."""
        metrics = sorted(trainer.progress_bar_metrics.items(), key=lambda one: one[0] == "lr")
        return [f"{name} {value:.3g}" for name, value in metrics]


class ProgressLines(_OwnProgress):
    """A line per epoch, one every ten minutes of a longer epoch, and one per evaluation.

    Once ten seconds of steps have passed, one line more says how long the training will take.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last = 0.0  # time of the last line, and of the start
        self._opened = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._last, self._opened = self._start, False

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        now = time.monotonic()
        if not self._opened and now - self._start >= FIRST_LINE and self.done(trainer) > 1:
            self._opened = True
            if self._enabled and (left := self.left(trainer)) != "?":
                self.print(f"{_steps_done(trainer)}, about {left} left")
        if now - self._last > HEARTBEAT:
            self._line(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._line(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin = time.monotonic()

    on_test_start = on_predict_start = on_validation_start

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._evaluated(trainer, sum(trainer.num_val_batches))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._evaluated(trainer, sum(trainer.num_test_batches))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._evaluated(trainer, sum(trainer.num_predict_batches))

    def _line(self, trainer: Trainer) -> None:
        self._last, self._opened = time.monotonic(), True
        if not self._enabled:
            return
        took = f"{duration(self._last - self._start)}, {self.left(trainer)} left"
        numbers = ", ".join(self.numbers(trainer))
        self.print(f"{self.epoch(trainer)}, {_steps_done(trainer)}: {numbers} ({took})")

    def _evaluated(self, trainer: Trainer, batches: float) -> None:
        what = trainer.state.fn
        if self._enabled and what is not None and what != "fit":
            took = duration(time.monotonic() - self._begin)
            self.print(f"{what.value}: {batches:g} batch{'es' * (batches != 1)} in {took}")

    def print(self, *args: Any, **options: Any) -> None:
        print(*args, file=sys.stderr, flush=True, **options)


class ProgressBars(_OwnProgress):
    """A bar of the whole training with what is left of it, and one of the evaluation under way."""

    def __init__(self) -> None:
        super().__init__()
        self._bars: Progress | None = None
        self._training: TaskID | None = None
        self._evaluation: TaskID | None = None
        self._read = 0.0  # time of the last reading of the metrics

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._training = self._add(self.epoch(trainer), _steps(trainer))
        self._show_training(trainer, read=True)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show_training(trainer, read=True)

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self._show_training(trainer, read=time.monotonic() - self._read > REFRESH)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show_training(trainer, read=True)
        self._stop()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._evaluation = self._add("validation", sum(trainer.num_val_batches))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._evaluation = self._add("test", sum(trainer.num_test_batches))

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._evaluation = self._add("prediction", sum(trainer.num_predict_batches))

    def on_validation_batch_end(self, *args: Any, **options: Any) -> None:
        if self._bars is not None and self._evaluation is not None:
            self._bars.advance(self._evaluation)

    on_test_batch_end = on_predict_batch_end = on_validation_batch_end

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bars is not None and self._evaluation is not None and trainer.state.fn == "fit":
            self._bars.remove_task(self._evaluation)
        else:
            self._stop()

    on_test_end = on_predict_end = on_validation_end

    def on_exception(self, *args: Any) -> None:
        self._stop()

    def teardown(self, *args: Any, **options: Any) -> None:
        self._stop()

    def print(self, *args: Any, **options: Any) -> None:
        """Print above the bars."""
        console = Console(stderr=True) if self._bars is None else self._bars.console
        console.print(*args, **options)

    def _add(self, what: str, total: float) -> TaskID | None:
        if not self._enabled:
            return None
        if self._bars is None:
            console = Console(stderr=True)
            columns = (
                TextColumn("{task.description}"),
                BarColumn(20 if console.width >= WIDE else 10, table_column=Column(no_wrap=True)),
                MofNCompleteColumn(table_column=Column(no_wrap=True)),
                TextColumn("{task.fields[left]}", style="cyan"),
                _Metrics(),
            )
            self._bars = Progress(*columns, console=console, refresh_per_second=4)
            self._bars.start()
        known = total if total < float("inf") else None
        return self._bars.add_task(what, total=known, left="", metrics=[])

    def _show_training(self, trainer: Trainer, *, read: bool) -> None:
        if self._bars is None or self._training is None:
            return
        changes: dict[str, Any] = {"completed": trainer.global_step}
        if read:
            self._read = time.monotonic()
            changes["description"] = self.epoch(trainer)
            changes["left"] = f"{self.left(trainer)} left"
            changes["metrics"] = self.numbers(trainer)
        self._bars.update(self._training, **changes)

    def _stop(self) -> None:
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._training = self._evaluation = None


class _Fitting:
    """As many of the texts, from the left, as a line has room for."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(0, len(", ".join(self.texts)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        counts = range(len(self.texts), 0, -1)
        lines = (", ".join(self.texts[:count]) for count in counts)
        line = next((line for line in lines if len(line) <= options.max_width), "")
        yield Text(line, style="cyan", no_wrap=True)


class _Metrics(ProgressColumn):
    """The one column that gives way on a narrow terminal."""

    def render(self, task: Task) -> _Fitting:
        return _Fitting(task.fields["metrics"])


def _steps_done(trainer: Trainer) -> str:
    """Return "step 5 of 348", and without a last step "step 5"."""
    total = _steps(trainer)
    return f"step {trainer.global_step}{f' of {total:.0f}' if total < float('inf') else ''}"


def _steps(trainer: Trainer) -> float:
    """Return the optimizer steps of the whole training; infinite where nothing bounds them."""
    return float(trainer.estimated_stepping_batches)
