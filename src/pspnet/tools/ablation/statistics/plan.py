"""The plan of a sweep: seeds and hours that a wanted difference needs, from a pilot's spread."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import mean

from pspnet.errors import UserError
from pspnet.files.text import duration
from pspnet.tools.ablation.collect import Setting, collect
from pspnet.tools.ablation.statistics.paired import Scores
from pspnet.tools.ablation.statistics.power import cautious, detectable, pairs_needed
from pspnet.tools.ablation.sweep import Sweep
from pspnet.tools.ablation.tables import comparable

Count = int | None


@dataclass(frozen=True)
class Line:
    """A setting's need: seeds in the mean and with caution, and what its seeds find so far."""

    setting: Setting
    pairs: int
    deviation: float
    pooled: bool
    needed: Count
    cautious: Count
    finds: float | None


def plan(sweep: Sweep, *, difference: float, wanted: float) -> str:
    """Return a table of the seeds and hours that each comparison with the first setting needs.

    Args:
        sweep: whose finished runs are the pilot.
        difference: of mIoU, in per cent points.
        wanted: power, 0 to 1, both excluded.

    Raises:
        UserError: if no setting shares two seeds with the first one.
    """
    settings = collect(sweep.folder, rows=sweep.settings).settings
    scores = [comparable(setting, lambda results: results.miou) for setting in settings]
    differences = [_differences(own, scores[0]) for own in scores[1:]]
    freedom = sum(max(0, len(own) - 1) for own in differences)
    if not freedom:
        raise UserError(
            f"{sweep.folder}: no setting shares two finished seeds with {settings[0].name}; run a"
            " pilot of three seeds first"
        )
    pooled = sqrt(sum(_squares(own) for own in differences) / freedom)
    lines = []
    for setting, own in zip(settings[1:], differences, strict=True):
        alone = len(own) > 1
        deviation = sqrt(_squares(own) / (len(own) - 1)) if alone else pooled
        upper = cautious(deviation, count=len(own) if alone else freedom + 1)
        line = Line(
            setting,
            pairs=len(own),
            deviation=deviation,
            pooled=not alone,
            needed=pairs_needed(difference, deviation=deviation, wanted=wanted),
            cautious=pairs_needed(difference, deviation=upper, wanted=wanted),
            finds=detectable(len(own), deviation=deviation, wanted=wanted),
        )
        lines.append(line)
    head = (
        f"{sweep.name} on {sweep.data}: seeds that tell {difference:g} points of mIoU from none, at"
        f" {100 * wanted:g} % power\n(paired t test over seeds, level 5 %, against"
        f" {settings[0].name}; in parentheses with the deviation's upper 80 % limit)"
    )
    return "\n".join([head, "", *_table(lines), "", *_total(settings[0], lines, pooled)])


def _differences(values: Scores, reference: Scores) -> list[float]:
    return [values[seed] - reference[seed] for seed in sorted(values.keys() & reference.keys())]


def _squares(values: list[float]) -> float:
    return sum((value - mean(values)) ** 2 for value in values)


def _table(lines: list[Line]) -> list[str]:
    heads = ("setting", "pairs", "deviation of Δ", "seeds needed", "pairs at hand find")
    rows = [
        (
            line.setting.name,
            str(line.pairs),
            f"{line.deviation:.2f}{' (all)' if line.pooled else ''}",
            f"{_count(line.needed)} ({_count(line.cautious)})",
            "–" if line.finds is None else f"{line.finds:.2f}",
        )
        for line in lines
    ]
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heads, *rows)
    ]


def _total(first: Setting, lines: list[Line], pooled: float) -> list[str]:
    said = []
    for words, counts in (
        ("hours left", [line.needed for line in lines]),
        ("with the upper limits", [line.cautious for line in lines]),
    ):
        if None in counts:
            said.append(f"{words}: more than 1000 seeds; ask for a larger difference")
            continue
        known = [count for count in counts if count is not None]
        needs = [(first, max(known)), *zip((line.setting for line in lines), known, strict=True)]
        left = [(setting, max(0, count - setting.count("finished"))) for setting, count in needs]
        seconds = [_seconds(setting, [s for s, _ in needs]) for setting, _ in left]
        runs = sum(count for _, count in left)
        time = sum(count * each for (_, count), each in zip(left, seconds, strict=True))
        lasting = duration(time) if time or not runs else "of unknown time"
        said.append(f"{words}: {runs} runs, {lasting} one after the other")
    return [f"pooled deviation of Δ: {pooled:.2f} points", *said]


def _seconds(setting: Setting, others: list[Setting]) -> float:
    """Return the seconds of a setting's run: the mean of its own, otherwise of all."""
    for group in ([setting], others):
        known = [c.seconds for s in group for c in s.costs().values() if c.seconds is not None]
        if known:
            return mean(known)
    return 0.0


def _count(needed: Count) -> str:
    return "> 1000" if needed is None else str(needed)
