"""Comparisons of variants: memory of each alone, then their times in turns, as a report's rows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import peak_memory
from benchmarks.machine import pinned
from benchmarks.timing import Call, Clock, Spread, alternate, clock_of, repeated, spread
from pspnet.files.text import duration

SHORTEST = 0.2  # seconds of a measured stretch; quicker calls are repeated
LONGEST = 150.0  # seconds of a comparison's times
FEWEST = 3  # rounds
LONG_CALL = 60.0  # seconds of a call that a warm-up does not change


@dataclass(frozen=True)
class Variant:
    """One implementation that is compared.

    Args:
        name: name in the report.
        build: returns the call to measure; can be pickled, as it also runs in its own process.
        dtype: type of its convolutions and products, None if none are to be counted.
        remark: text beside its measurements.
    """

    name: str
    build: Callable[[], Call]
    dtype: torch.dtype | None = None
    remark: str = ""


@dataclass(frozen=True)
class Comparison:
    """Variants of the same work.

    Args:
        section: section of the report.
        case: description of the work, such as size and number of classes.
        variants: what is compared; the first is the baseline.
        images: images per unit of work.
        units: units per call; times are per unit.
        time: measure times.
        memory: measure peak memory.
        threads: CPU threads, None for the setting of the run.
        difference: describes how a result, the second argument, differs from the baseline's.
    """

    section: str
    case: str
    variants: Sequence[Variant]
    images: int = 1
    units: int = 1
    time: bool = True
    memory: bool = True
    threads: int | None = None
    difference: Callable[[object, object], str] | None = None


@dataclass(frozen=True)
class Settings:
    """Settings of a run.

    Args:
        device: where networks compute.
        threads: CPU threads.
        rounds: repetitions of each time; at least three where they would take minutes.
        longest: seconds of a comparison's times; beyond it rounds are dropped, down to three.
        matmul_rates: operations per second of matrix products, per type.
        on_row: called with each row.
        on_progress: called with lines about what is measured and how long it will take.
    """

    device: torch.device
    threads: int
    rounds: int
    longest: float = LONGEST
    matmul_rates: Mapping[torch.dtype, float] = field(default_factory=dict)
    on_row: Callable[[Row], object] = lambda row: None
    on_progress: Callable[[str], object] = lambda line: None


@dataclass(frozen=True)
class Row:
    """Measurements of a variant.

    Args:
        section: section of the report.
        case: description of the work.
        variant: name of the variant.
        images: images per unit of work.
        seconds: seconds per unit; None if it was not timed.
        time_ratio: seconds over the baseline's, round by round.
        flops: operations per unit, a multiplication and an addition being two.
        utilization: operations per second over the machine's rate of matrix products.
        memory: peak in bytes, see `benchmarks.peak_memory.peak`.
        memory_ratio: memory over the baseline's.
        remark: anything else.
    """

    section: str
    case: str
    variant: str
    images: int = 1
    seconds: Spread | None = None
    time_ratio: Spread | None = None
    flops: int | None = None
    utilization: float | None = None
    memory: int | None = None
    memory_ratio: float | None = None
    remark: str = ""

    def remarked(self, remark: str) -> Row:
        """Return the row with a further remark."""
        return replace(self, remark="; ".join(filter(None, (self.remark, remark))))


@dataclass
class _Run:
    """A built variant: its call, the result and operations of the first call, and its times."""

    call: Call
    repeats: int  # calls per round
    expected: float  # seconds per round
    result: object
    flops: int
    seconds: list[float]  # per call, one value per round


def compare(settings: Settings, comparison: Comparison) -> list[Row]:
    """Measure every variant and return a row of each."""
    settings = replace(settings, threads=comparison.threads or settings.threads)
    with pinned(settings.threads):
        rows = _measure_memory(settings, comparison)
        # a variant that lacked memory alone would lack it again
        failed = {name for name, (_, enough) in rows.items() if not enough}
        variants = [variant for variant in comparison.variants if variant.name not in failed]
        runs = _measure_time(settings, variants) if comparison.time else {}
    baseline = runs.get(comparison.variants[0].name)
    found = []
    for variant in comparison.variants:
        row, enough = rows[variant.name]
        run = runs.get(variant.name)
        if run:
            rate = settings.matmul_rates.get(variant.dtype) if variant.dtype else None
            row = _with_times(row, run, baseline=baseline, units=comparison.units, rate=rate)
            if comparison.difference and baseline and run is not baseline:
                row = row.remarked(comparison.difference(baseline.result, run.result))
        elif comparison.time and enough:
            row = row.remarked("out of memory beside the others")
        settings.on_row(row)
        found.append(row)
    return found


def _measure_memory(settings: Settings, comparison: Comparison) -> dict[str, tuple[Row, bool]]:
    """Return each variant's row with its memory, and whether there was enough."""
    measured = comparison.memory and peak_memory.measurable(settings.device)
    rows: dict[str, tuple[Row, bool]] = {}
    baseline: int | None = None
    start, variants = time.monotonic(), comparison.variants
    for done, variant in enumerate(variants, start=1):
        row = Row(comparison.section, comparison.case, variant.name, comparison.images)
        row, enough = row.remarked(variant.remark), True
        try:
            if measured:
                peak = peak_memory.peak(
                    variant.build, device=settings.device, threads=settings.threads
                )
                baseline = peak if variant is variants[0] else baseline
                ratio = peak / baseline if baseline else None
                row = replace(row, memory=peak, memory_ratio=ratio)
                rest = (time.monotonic() - start) / done * (len(variants) - done)
                more = f"; the others' in about {duration(rest)}" if done < len(variants) else ""
                settings.on_progress(f"memory, {variant.name}: {peak / 2**20:,.0f} MiB{more}")
        except MemoryError as error:
            row, enough = row.remarked(str(error)), False
        rows[variant.name] = row, enough
    return rows


def _measure_time(settings: Settings, variants: Sequence[Variant]) -> dict[str, _Run]:
    """Build and warm up each variant, then time all in turns."""
    clock = clock_of(settings.device)
    runs = {}
    for variant in variants:
        with suppress(torch.OutOfMemoryError):  # the others hold their weights
            runs[variant.name] = run = _warm_up(variant, clock=clock)
            settings.on_progress(f"first call, {variant.name}: {run.expected / run.repeats:.2g} s")
    calls = {name: repeated(run.call, times=run.repeats) for name, run in runs.items()}
    of_round = sum(run.expected for run in runs.values())
    affordable = int(settings.longest / max(of_round, 1e-6))
    rounds = min(settings.rounds, max(affordable, FEWEST))
    if all(run.expected >= LONG_CALL for run in runs.values()):
        rounds -= 1
        for run in runs.values():
            run.seconds.append(run.expected)
    settings.on_progress(f"times, {rounds} rounds: about {duration(rounds * of_round)}")
    for name, seconds in alternate(calls, rounds=rounds, clock=clock).items():
        runs[name].seconds += [value / runs[name].repeats for value in seconds]
    return runs


def _warm_up(variant: Variant, *, clock: Clock) -> _Run:
    call = variant.build()
    results = []
    with FlopCounterMode(display=False) as counter:
        seconds = clock(lambda: results.append(call()))
    if seconds < 10 * SHORTEST:  # the first call also chooses kernels and fetches memory
        seconds = clock(call)
    repeats = max(1, math.ceil(SHORTEST / max(seconds, 1e-6)))
    flops = int(counter.get_total_flops()) if variant.dtype else 0
    return _Run(call, repeats, repeats * seconds, results[0], flops, [])


def _with_times(
    row: Row, run: _Run, *, baseline: _Run | None, units: int, rate: float | None
) -> Row:
    ratio, flops = None, run.flops // units or None
    seconds = spread([value / units for value in run.seconds])
    if baseline is not None:
        pairs = zip(run.seconds, baseline.seconds, strict=True)
        ratio = spread([mine / theirs for mine, theirs in pairs])
    utilization = flops / seconds.median / rate if flops and rate else None
    return replace(row, seconds=seconds, time_ratio=ratio, flops=flops, utilization=utilization)
