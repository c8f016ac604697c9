"""The files that a run leaves: report.md, results.json and ratios.png."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.compare import Row
from benchmarks.machine import PRODUCTS
from benchmarks.ratios_figure import Bar, Group, Ratio, ratio_bars
from benchmarks.timing import Spread
from pspnet.files.writing import write_atomic

NONE = "–"
WORDS = ("case", "variant", "remark")  # columns aligned left
SHARES = ("reliability",)  # sections whose variants are parts of a step and no other ways to do it
LEGEND = """\
Variants run in turns. Times are medians over n rounds [quartiles]. "× ours" is the value over that
of the case's first variant; for times it is the median of the rounds' ratios [quartiles]. It is
above 1 where ours needs less. GFLOP counts convolutions and matrix products, a multiplication and
an addition being two operations. "utilization" is operations per second over those of the fastest
of {products} large square matrix products of the same type on the same machine. Memory is the peak
{memory}."""
MEMORY = {
    "cuda": "of all that torch holds on the GPU, of one variant alone, weights included",
    "cpu": "of the resident set above that before the call, in a process of its own: without "
    "weights, with gradients and the optimizer's state, freed memory returned at once",
}


def write_report(folder: Path, rows: Sequence[Row], *, machine: Mapping[str, Any]) -> None:
    """Write all measurements so far into a folder, over earlier files of the run.

    Args:
        folder: exists.
        rows: at least one.
        machine: description of the machine, see `benchmarks.machine.describe`, and of the run.
    """
    content = {"machine": dict(machine), "rows": [asdict(row) for row in rows]}
    write_atomic(folder / "results.json", f"{json.dumps(content, indent=2)}\n".encode())
    write_atomic(folder / "report.md", render_report(rows, machine=machine).encode())
    if groups := _groups(rows):
        threads = f"{machine['threads']} thread{'s' if machine['threads'] > 1 else ''}"
        name = machine["cpu"] if machine["device"] == "CPU" else machine["device"]
        ratio_bars(
            groups,
            folder / "ratios.png",
            columns=("time, × ours", "memory, × ours"),
            title="Time and memory beside ours",
            note=f"1 is ours; whiskers are quartiles; – is not measured · {name}, {threads}",
        )


def render_report(rows: Sequence[Row], *, machine: Mapping[str, Any]) -> str:
    """Return the report: the machine, how values are measured, and a table per section."""
    kind = "cpu" if machine["device"] == "CPU" else "cuda"
    legend = LEGEND.format(products=PRODUCTS, memory=MEMORY[kind])
    parts = ["# Benchmarks", f"Machine: {describe_machine(machine)}.", legend]
    for section in dict.fromkeys(row.section for row in rows):
        chosen = [row for row in rows if row.section == section]
        parts += [f"## {section[0].upper()}{section[1:]}", _table(chosen)]
    if _groups(rows):
        parts.append("![Time and memory of each variant over ours](ratios.png)")
    return "\n\n".join(parts) + "\n"


def describe_machine(machine: Mapping[str, Any]) -> str:
    """Return the machine's known properties in one line."""
    known = {key: value for key, value in machine.items() if value is not None}
    return ", ".join(
        f"{key} {_digits(value) if isinstance(value, float) else value}"
        for key, value in known.items()
    )


def describe_row(row: Row) -> str:
    """Return a row in one line, for the terminal."""
    values = [f"{key} {value}" for key, value in _cells(row).items() if value != NONE]
    return f"{row.section}: {', '.join(values)}"


def duration(seconds: Spread | None) -> str:
    """Return the median with quartiles and number of rounds, in milliseconds or seconds."""
    if seconds is None:
        return NONE
    factor, unit = (1, "s") if seconds.median >= 1 else (1000, "ms")
    median, low, high = (
        _digits(value * factor) for value in (seconds.median, seconds.low, seconds.high)
    )
    return f"{median} {unit} [{low}, {high}], n = {seconds.rounds}"


def _cells(row: Row) -> dict[str, str]:
    ratio, rate = row.time_ratio, row.images / row.seconds.median if row.seconds else None
    return {
        "case": row.case,
        "variant": row.variant,
        "time": duration(row.seconds),
        "time, × ours": _ratio(ratio) if ratio else NONE,
        "images/s": _digits(rate),
        "GFLOP": _digits(row.flops and row.flops / 1e9),
        "utilization": f"{100 * row.utilization:.0f} %" if row.utilization else NONE,
        "memory, MiB": f"{row.memory / 2**20:,.0f}" if row.memory is not None else NONE,
        "memory, × ours": _digits(row.memory_ratio),
        "remark": row.remark or NONE,
    }


def _table(rows: Sequence[Row]) -> str:
    """Return the table of a section, without columns that are empty throughout."""
    cells = [_cells(row) for row in rows]
    keys = [key for key in cells[0] if any(row[key] != NONE for row in cells)]
    rule = ["---" if key in WORDS else "--:" for key in keys]
    body = [[row[key] for key in keys] for row in cells]
    return "\n".join(f"| {' | '.join(texts)} |" for texts in (keys, rule, *body))


def _groups(rows: Sequence[Row]) -> list[Group]:
    """Return the figure's bars per section and case: every variant but the baseline."""
    groups = []
    rows = [row for row in rows if row.section not in SHARES]
    for section, case in dict.fromkeys((row.section, row.case) for row in rows):
        _, *others = [row for row in rows if (row.section, row.case) == (section, case)]
        bars = [
            Bar(row.variant, _ratios(row)) for row in others if row.time_ratio or row.memory_ratio
        ]
        if bars:
            groups.append(Group(f"{section}: {case}", bars))
    return groups


def _ratios(row: Row) -> list[Ratio | None]:
    time = None
    if row.time_ratio:
        time = Ratio(row.time_ratio.median, row.time_ratio.low, row.time_ratio.high)
    return [time, Ratio(row.memory_ratio) if row.memory_ratio else None]


def _ratio(ratio: Spread) -> str:
    median, low, high = (
        f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
        for value in (ratio.median, ratio.low, ratio.high)
    )
    return f"{median} [{low}, {high}]"


def _digits(value: float | None) -> str:
    """Return three digits, and all of those before the point."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"
