"""What a run of the benchmarks leaves: report.md, results.json and ratios.png."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measure import Row
from benchmarks.ratios_figure import Bar, Group, Ratio, ratio_bars
from benchmarks.timing import Spread
from pspnet.errors import write_atomic

NONE = "–"
WORDS = ("case", "side", "remark")  # columns that stand left
LEGEND = """\
Sides run in turns. Times are medians of so many rounds [quartiles]. "× ours" is the value by that
of the case's first side, of times the median of the rounds' ratios [quartiles]: above 1 where ours
needs less. Operations are those of convolutions and matrix products, a multiplication and an
addition being two; "of limit" is operations a second by those of the fastest of some large square
matrix products of the same type on the same machine. Memory is the peak {memory}."""
MEMORY = {
    "cuda": "of all that torch holds on the GPU, of one side alone, weights included",
    "cpu": "of the resident set above that before the call, in a process of its own: without "
    "weights, with gradients and the optimizer's state, freed memory given back at once",
}


def write_report(folder: Path, rows: Sequence[Row], *, machine: Mapping[str, Any]) -> None:
    """Writes what is measured so far into a folder, over what stood there.

    Args:
        folder: exists.
        rows: at least one.
        machine: what was measured on, see `benchmarks.machine.describe`, and how.
    """
    content = {"machine": dict(machine), "rows": [asdict(row) for row in rows]}
    write_atomic(folder / "results.json", f"{json.dumps(content, indent=2)}\n".encode())
    write_atomic(folder / "report.md", markdown(rows, machine=machine).encode())
    if groups := _groups(rows):
        ratio_bars(
            groups,
            folder / "ratios.png",
            columns=("time, × ours", "memory, × ours"),
            title="Benchmarks",
            note=f"1 is ours; whiskers are quartiles · {_name(machine)}",
        )


def markdown(rows: Sequence[Row], *, machine: Mapping[str, Any]) -> str:
    """The report as text."""
    kind = "cpu" if machine["device"] == "CPU" else "cuda"
    parts = ["# Benchmarks", f"Machine: {facts(machine)}.", LEGEND.format(memory=MEMORY[kind])]
    for section in dict.fromkeys(row.section for row in rows):
        chosen = [row for row in rows if row.section == section]
        parts += [f"## {section[0].upper()}{section[1:]}", _table(chosen)]
    if _groups(rows):
        parts.append("![Times and memory by ours](ratios.png)")
    return "\n\n".join(parts) + "\n"


def facts(machine: Mapping[str, Any]) -> str:
    """The machine in a line."""
    known = {key: value for key, value in machine.items() if value is not None}
    return ", ".join(
        f"{key} {_digits(value) if isinstance(value, float) else value}"
        for key, value in known.items()
    )


def line(row: Row) -> str:
    """A row as it is told while others are measured."""
    values = [value for value in _cells(row).values() if value != NONE]
    return f"{row.section}: {', '.join(values)}"


def duration(seconds: Spread | None) -> str:
    """The median with its quartiles and the number of rounds, in milliseconds or seconds."""
    if seconds is None:
        return NONE
    factor, unit = (1, "s") if seconds.median >= 1 else (1000, "ms")
    median, low, high = (
        _digits(value * factor) for value in (seconds.median, seconds.low, seconds.high)
    )
    return f"{median} {unit} [{low}, {high}], n = {seconds.rounds}"


def _cells(row: Row) -> dict[str, str]:
    ratio, rate = row.ratio, row.images / row.seconds.median if row.seconds else None
    times = f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio else NONE
    return {
        "case": row.case,
        "side": row.side,
        "time": duration(row.seconds),
        "time, × ours": times,
        "images/s": _digits(rate),
        "GFLOP": _digits(row.flops and row.flops / 1e9),
        "of limit": f"{100 * row.share:.0f} %" if row.share else NONE,
        "memory, MiB": f"{row.memory / 2**20:,.0f}" if row.memory is not None else NONE,
        "memory, × ours": _digits(row.memory_ratio),
        "remark": row.remark or NONE,
    }


def _table(rows: Sequence[Row]) -> str:
    """Of a section; columns that say nothing are left out."""
    cells = [_cells(row) for row in rows]
    keys = [key for key in cells[0] if any(row[key] != NONE for row in cells)]
    rule = ["---" if key in WORDS else "--:" for key in keys]
    body = [[row[key] for key in keys] for row in cells]
    return "\n".join(f"| {' | '.join(texts)} |" for texts in (keys, rule, *body))


def _groups(rows: Sequence[Row]) -> list[Group]:
    """By section and case, the sides but the first, as far as something was measured."""
    groups = []
    for section, case in dict.fromkeys((row.section, row.case) for row in rows):
        _, *others = [row for row in rows if (row.section, row.case) == (section, case)]
        bars = [Bar(row.side, _ratios(row)) for row in others if row.ratio or row.memory_ratio]
        if bars:
            groups.append(Group(f"{section}: {case}", bars))
    return groups


def _ratios(row: Row) -> list[Ratio | None]:
    time = None
    if row.ratio:
        time = Ratio(row.ratio.median, row.ratio.low, row.ratio.high)
    return [time, Ratio(row.memory_ratio) if row.memory_ratio else None]


def _name(machine: Mapping[str, Any]) -> str:
    threads = f"{machine['threads']} threads" if machine["threads"] > 1 else "1 thread"
    name = machine["cpu"] if machine["device"] == "CPU" else machine["device"]
    return f"{name}, {threads}"


def _digits(value: float | None) -> str:
    """Three digits, and all of those before the point."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"
