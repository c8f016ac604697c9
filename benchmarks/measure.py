"""Sides compared: memory of each alone, then their times in turns, as rows of a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import memory
from benchmarks.timing import Call, Clock, Spread, alternate, clock_of, repeated, spread

LEAST = 0.2  # seconds of a measured stretch; quicker calls are repeated
MOST = 150.0  # seconds of a comparison, beyond which there are no more than so many
FEWEST = 3  # rounds
LONG = 60.0  # seconds of a call, to which a warm-up makes no difference


@dataclass(frozen=True)
class Side:
    """One of those compared.

    Args:
        name: stands in the report.
        build: gives the call to measure; can be pickled, as it also runs in a process of its own.
        dtype: of its convolutions and products, None if there are none to count.
        remark: stands beside what is measured.
    """

    name: str
    build: Callable[[], Call]
    dtype: torch.dtype | None = None
    remark: str = ""


@dataclass(frozen=True)
class Row:
    """What was measured of a side.

    Args:
        section: of the report.
        case: what all sides did, such as size and number of classes.
        side: its name.
        images: in one unit, of which the times are.
        seconds: None if it was not timed.
        ratio: seconds by those of the first side, round by round.
        flops: operations of one unit, a multiplication and an addition being two.
        share: operations a second by the machine's own rate of matrix products.
        memory: peak in bytes, see `benchmarks.memory.peak`.
        memory_ratio: memory by that of the first side.
        remark: anything else.
    """

    section: str
    case: str
    side: str
    images: int = 1
    seconds: Spread | None = None
    ratio: Spread | None = None
    flops: int | None = None
    share: float | None = None
    memory: int | None = None
    memory_ratio: float | None = None
    remark: str = ""


@dataclass(frozen=True)
class Bench:
    """How everything is measured.

    Args:
        device: where networks compute.
        threads: of a CPU.
        rounds: of the times; fewer, yet three, where they would take minutes.
        rates: operations a second of matrix products, by type.
        say: is told of each row.
    """

    device: torch.device
    threads: int
    rounds: int
    rates: Mapping[torch.dtype, float] = field(default_factory=dict)
    say: Callable[[Row], object] = lambda row: None


@dataclass
class _Run:
    """A side that is built: its call, what the first one gave and counted, then seconds of each."""

    call: Call
    times: int  # that it is called a round
    expected: float  # seconds of a round
    result: object
    flops: int
    seconds: list[float]


def compare(
    bench: Bench,
    sides: Sequence[Side],
    *,
    section: str,
    case: str,
    images: int = 1,
    units: int = 1,
    timed: bool = True,
    sized: bool = True,
    differing: Callable[[object, object], str] | None = None,
) -> list[Row]:
    """Measures sides and returns a row of each; the first is what the others are held against.

    Args:
        bench: how.
        sides: what is compared.
        section: of the report.
        case: what all of them do.
        images: that a unit holds.
        units: that a call does; times are given for one.
        timed: whether times are measured.
        sized: whether memory is measured.
        differing: says how a side's result, the second argument, differs from the first side's.
    """
    rows = {side.name: Row(section, case, side.name, images, remark=side.remark) for side in sides}
    failed = _measure_memory(bench, sides, rows) if sized else set()
    # what has failed alone would fail again
    runs = _time(bench, [side for side in sides if side.name not in failed]) if timed else {}
    first = runs.get(sides[0].name)
    for side in sides:
        if run := runs.get(side.name):
            rate = bench.rates.get(side.dtype) if side.dtype else None
            row = _timed(rows[side.name], run, first=first, units=units, rate=rate)
            if differing and first and run is not first:
                row = _remarked(row, differing(first.result, run.result))
            rows[side.name] = row
        elif timed and side.name not in failed:
            rows[side.name] = _remarked(rows[side.name], "out of memory beside the others")
        bench.say(rows[side.name])
    return [*rows.values()]


def _measure_memory(bench: Bench, sides: Sequence[Side], rows: dict[str, Row]) -> set[str]:
    """Adds each side's memory to its row; the names of those for which there is not enough."""
    failed, first = set(), None
    for side in sides:
        row = rows[side.name]
        try:
            found = memory.peak(side.build, device=bench.device, threads=bench.threads)
            first = found if side is sides[0] else first
            ratio = found / first if found and first else None
            rows[side.name] = replace(row, memory=found, memory_ratio=ratio)
        except MemoryError as error:
            rows[side.name] = _remarked(row, str(error))
            failed.add(side.name)
    return failed


def _time(bench: Bench, sides: Sequence[Side]) -> dict[str, _Run]:
    """Each side built and warmed up, then all timed in turns."""
    clock = clock_of(bench.device)
    runs = {}
    for side in sides:
        with suppress(torch.OutOfMemoryError):  # the others hold their weights
            runs[side.name] = _warmed_up(side, clock=clock)
    calls = {name: repeated(run.call, times=run.times) for name, run in runs.items()}
    affordable = int(MOST / max(sum(run.expected for run in runs.values()), 1e-6))
    rounds = min(bench.rounds, max(affordable, FEWEST))
    if all(run.expected >= LONG for run in runs.values()):
        rounds -= 1
        for run in runs.values():
            run.seconds.append(run.expected)
    for name, seconds in alternate(calls, rounds=rounds, clock=clock).items():
        runs[name].seconds += [value / runs[name].times for value in seconds]
    return runs


def _warmed_up(side: Side, *, clock: Clock) -> _Run:
    call = side.build()
    results = []
    with FlopCounterMode(display=False) as counter:
        seconds = clock(lambda: results.append(call()))
    if seconds < 10 * LEAST:  # the first call also chooses kernels and fetches memory
        seconds = clock(call)
    times = max(1, math.ceil(LEAST / max(seconds, 1e-6)))
    flops = int(counter.get_total_flops()) if side.dtype else 0
    return _Run(call, times, times * seconds, results[0], flops, [])


def _timed(row: Row, run: _Run, *, first: _Run | None, units: int, rate: float | None) -> Row:
    ratio, flops = None, run.flops // units or None
    seconds = spread([value / units for value in run.seconds])
    if first is not None:
        pairs = zip(run.seconds, first.seconds, strict=True)
        ratio = spread([mine / theirs for mine, theirs in pairs])
    return replace(
        row,
        seconds=seconds,
        ratio=ratio,
        flops=flops,
        share=flops / seconds.median / rate if flops and rate else None,
    )


def _remarked(row: Row, remark: str) -> Row:
    return replace(row, remark="; ".join(filter(None, (row.remark, remark))))
