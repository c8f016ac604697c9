"""Times of several sides, measured in turns, with their spread."""

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
    """Median and quartiles of what was measured, and how often it was."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value; between two of them quartiles are interpolated."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return Spread(median, low, high, rounds=len(values))


def alternate(sides: Mapping[str, Call], *, rounds: int, clock: Clock) -> dict[str, list[float]]:
    """Seconds of each side in each round; a round calls every side once.

    Every second round goes backwards, so that a machine that becomes slower meets all alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        order = [*sides] if number % 2 == 0 else [*sides][::-1]
        for name in order:
            seconds[name].append(clock(sides[name]))
    return seconds


def clock_of(device: torch.device) -> Clock:
    """Events on the stream of a GPU, the wall clock elsewhere."""
    return _events if device.type == "cuda" else _wall


def repeated(call: Call, *, times: int) -> Call:
    """A call that does another `times` times over."""

    def every() -> None:
        for _ in range(times):
            call()

    return every


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
