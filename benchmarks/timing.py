"""Times of several calls, measured in turns, with their spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

Call = Callable[[], object]
Clock = Callable[[Call], float]  # seconds that a call takes


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated measurements, and their number."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Sequence[float]) -> Spread:
    """Return median and quartiles of one or more values, interpolated between neighbors."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return Spread(median, low, high, rounds=len(values))


def alternate(calls: Mapping[str, Call], *, rounds: int, clock: Clock) -> dict[str, list[float]]:
    """Time every call once per round; return the seconds of each in every round.

    Every second round runs in reverse order, so that a machine that slows down treats all alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        order = [*calls] if number % 2 == 0 else [*calls][::-1]
        for name in order:
            seconds[name].append(clock(calls[name]))
    return seconds


def clock_of(device: torch.device) -> Clock:
    """Return the clock of a device: stream events on a GPU, the wall clock otherwise."""
    return _events if device.type == "cuda" else _wall


def repeated(call: Call, *, times: int) -> Call:
    """Return a call that runs another one `times` times."""

    def run() -> None:
        for _ in range(times):
            call()

    return run


def _wall(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _events(call: Call) -> float:
    start, end = (
        torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        for _ in range(2)
    )
    torch.cuda.synchronize()
    start.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1000
