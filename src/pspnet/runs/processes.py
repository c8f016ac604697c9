"""The processes of a run on one machine: none of them outlives another.

Lightning's first process starts the others. If one of them is killed, the rest would wait for it,
with NCCL for half an hour.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from subprocess import Popen
from typing import Any

from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Trainer

from pspnet.errors import UserError

PERIOD = 0.5  # seconds between two looks
GRACE = 5.0  # seconds that a process has to end by itself after another one has


def started_by_lightning() -> bool:
    """Return whether Lightning's first process has started this one."""
    rank = int(os.environ.get("LOCAL_RANK") or 0)
    return rank > 0 and not TorchElasticEnvironment.detect()


class Processes:
    """Watches the other processes of a run that Lightning has started, and ends them."""

    def __init__(self) -> None:
        self.parent = os.getppid() if started_by_lightning() else None
        self.ending = False  # this process is on its way out, and says why itself
        self._trainer: Trainer | None = None
        self._watches = False

    def watch(self, trainer: Trainer) -> None:
        """Begin to watch, once the processes have been started."""
        self._trainer = trainer
        if self._watches or not (self.parent or self._others()):
            return
        self._watches = True
        for thread in threading.enumerate():  # Lightning's ends all without a word
            if thread.name == "child-process-observer":
                thread._finished = True  # type: ignore[attr-defined]
        threading.Thread(target=self._watch, daemon=True).start()

    def lost(self, patience: float = 0.0) -> str | None:
        """Return a line on a process that has ended in error, or None after `patience` seconds."""
        _wait(self._lost, patience)
        return self._lost()

    def tell_parent(self, number: int) -> None:
        """Pass a signal on to the first process."""
        if self.parent is not None and os.getppid() == self.parent:
            os.kill(self.parent, number)

    def join(self) -> None:
        """Wait until the others have done their work.

        Raises:
            UserError: if one of them has failed.
        """
        _wait(lambda: all(other.poll() is not None for other in self._others()), math.inf)
        if self._others() and (line := self._lost()):
            raise UserError(line)

    def end(self, patience: float = 0.0) -> None:
        """Kill the others, those that do not end by themselves within `patience` seconds."""
        others = self._others()
        _wait(lambda: all(other.poll() is not None for other in others), patience)
        for other in others:
            if other.poll() is None:
                other.kill()
                other.wait()

    def _others(self) -> list[Popen[bytes]]:
        launcher: Any = None if self._trainer is None else self._trainer.strategy.launcher
        return list(getattr(launcher, "procs", ()))

    def _lost(self) -> str | None:
        if self.parent is not None:
            return None if os.getppid() == self.parent else "the first process was killed"
        for rank, other in enumerate(self._others(), start=1):
            if code := other.poll():
                how = (
                    f"was killed by {signal.Signals(-code).name}"
                    if code < 0
                    else f"ended with status {code}"
                )
                return f"process {rank} {how}"
        return None

    def _watch(self) -> None:
        while (line := self._lost()) is None:
            time.sleep(PERIOD)
        time.sleep(GRACE)
        if not self.ending:  # the main thread waits for a process that is no more
            self.end()
            sys.stderr.write(f"error: {line}; its run is stopped\n")
            sys.stderr.flush()
            os._exit(1)


def _wait(condition: Callable[[], object], patience: float) -> None:
    """Return once the condition is true, or after `patience` seconds."""
    end = time.monotonic() + patience
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
