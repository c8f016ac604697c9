"""Signals that stop a run: SIGTERM, SIGINT, and SIGUSR1, by which SLURM announces its limit."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from pspnet.errors import UserError, raised_in
from pspnet.runs import slurm
from pspnet.runs.processes import Processes

STOPPING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name)
)
TWICE = 1.0  # seconds; within these a second SIGINT is the same key, sent by terminal and launcher
ANSWER = "finishing this step, then saving; Ctrl-C again (after 1 s) ends at once, unsaved"
LATE = 30.0  # seconds that a process waits for the first one to end


_WAKEUPS: set[int] = set()


def _forget() -> None:
    """Keep the signals of a forked process, as a loading one's, from this one's thread."""
    if _WAKEUPS:
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class Interrupted(SystemExit):
    """Ends the process after a signal, with the status that a shell gives: 128 + its number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


class Signals:
    """Takes the signals that stop a run.

    While `waits`, a signal is kept in `received` for whoever finishes the step and saves it, and
    the first process says so at once; otherwise it ends the process at once. A second Ctrl-C always
    does. `remedy` is said with the signal's name.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.remedy = ""
        self.processes = Processes()
        self.waits = self.processes.parent is not None  # then the first process ends this one
        self._pid, self._at = os.getpid(), 0.0
        self._answers, self._answered = False, threading.Event()

    def __deepcopy__(self, memo: dict[int, Any]) -> Signals:
        return self  # the process has one; averages of weights copy the module with its trainer

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a loading process, which ends with this one
            return
        if self.received is None:
            self.received, self._at = number, time.monotonic()
            if self.processes.parent is not None:
                self.processes.tell_parent(number)
            elif not self.waits:
                raise Interrupted(number)
            elif rank_zero_only.rank == 0:  # type: ignore[attr-defined]
                self._answers = True
        elif number == signal.SIGINT and time.monotonic() - self._at > TWICE:
            self.processes.end()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(self._pid, signal.SIGINT)

    def _answer(self, numbers: int) -> None:
        """Answer the first signal that a training keeps; `numbers` is where they are read from."""
        while received := os.read(numbers, 1):
            kept = (self.waits or self._answers) and self.processes.parent is None
            if received[0] in STOPPING and kept and not self._answered.is_set():
                if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
                    sys.stderr.write(f"{ANSWER}\n")  # whole: bars print it above themselves
                    sys.stderr.flush()
                self._answered.set()
        os.close(numbers)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Let a thread answer signals within this context.

        The handler itself waits for the end of a backward pass, and must not write: what it
        interrupts may hold the lock of stderr, or of the bars.
        """
        numbers, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        before = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        _WAKEUPS.add(wakeup)
        threading.Thread(target=self._answer, args=(numbers,), daemon=True).start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            _WAKEUPS.discard(wakeup)
            os.close(wakeup)  # ends the thread

    @property
    def is_overdue(self) -> bool:
        """True if the first process, not started by Lightning, has not ended this one in time."""
        late = self.received is not None and time.monotonic() - self._at > LATE
        return late and self.processes.parent is None

    def check(self) -> None:
        """End the process if a signal has come and nobody has seen it to its end.

        Raises:
            Interrupted: in the process that ends the others.
        """
        if self.received is not None and not self.waits:
            raise Interrupted(self.received)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take the signals within this context; say in one line what has ended it.

        Raises:
            SystemExit: with 128 + the number of a signal.
            UserError: where another process of the run was killed.
        """
        main = threading.current_thread() is threading.main_thread()  # no other one may take them
        before = {number: signal.signal(number, self) for number in STOPPING if main}
        patience = 0.0
        try:
            with self._answering() if main else nullcontext():
                yield
        except Interrupted as stop:
            self.processes.end()
            if self._answers:
                self._answered.wait(1.0)
            sys.stderr.write(f"\nstopped by {signal.Signals(stop.number).name}{self.remedy}\n")
            requeued = stop.number == slurm.SIGNAL and slurm.requeue()
            raise SystemExit(0 if requeued else stop.code) from None
        except Exception as error:
            patience = 3.0  # for the others' own words
            self.processes.ending = True
            # an error of torch's is then only what this process saw of the other's end
            if raised_in(error).startswith("torch") and (line := self.processes.lost(2.0)):
                raise UserError(f"{line}{self.remedy}") from error
            raise
        else:
            self.processes.join()
        finally:
            self.processes.ending = True
            self.processes.end(patience)
            for number, handler in before.items():
                signal.signal(number, handler)


class Interruption(Callback):
    """Ends an evaluation at its next batch if a signal has come, and watches other processes.

    A signal's own exception may be lost in code that can raise none, such as a finalizer's.
    """

    def __init__(self, signals: Signals) -> None:
        self.signals = signals

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.signals.processes.watch(trainer)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, *args: Any, **options: Any
    ) -> None:
        self.signals.check()

    on_test_batch_start = on_predict_batch_start = on_validation_batch_start
