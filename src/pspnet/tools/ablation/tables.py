"""The rows of a sweep's tables as numbers: per cent, GFLOP, GiB, images per second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from pspnet.tools.ablation.collect import Collected, Setting, disagreements
from pspnet.tools.ablation.paper_results import PaperResult
from pspnet.tools.ablation.run_files import Costs, Results
from pspnet.tools.ablation.statistics.paired import (
    Difference,
    Summary,
    among_best,
    paired_difference,
    pareto_front,
    summary,
)

Kind = Literal["group", "class"]
Scores = dict[int, float]  # per cent by seed


@dataclass(frozen=True)
class Price:
    """Costs of a setting; None where they are unknown, or not the same for all seeds."""

    parameters: float | None  # millions
    parameters_inference: float | None  # millions, without the auxiliary head
    gflop: float | None  # forward pass of one image
    memory: float | None  # GiB, the most over seeds
    rate: float | None  # training images per second, the median over seeds


@dataclass(frozen=True)
class Row:
    """A row of the main table.

    `difference` and `paper_difference` are to the table's first row. `best` says whether the row
    is among those that cannot be told from the best one (None: without a test), `front` whether it
    is on the Pareto front (None: score or cost is unknown).
    """

    setting: Setting
    scores: Scores
    miou: Summary | None
    accuracy: Summary | None
    train: Summary | None  # mIoU of the last epoch's training crops
    difference: Difference | None
    best: bool | None
    front: bool | None
    price: Price
    paper: PaperResult | None
    paper_difference: float | None
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class ClassScore:
    """IoU of a class or group under one setting, and its difference to the first setting."""

    setting: str
    scores: Scores
    iou: Summary | None
    difference: Difference | None


def main_table(
    collected: Collected, *, paper: Mapping[str, PaperResult], seeds: Sequence[int]
) -> list[Row]:
    """Return a row per setting, in the sweep's order whatever the scores.

    Args:
        collected: the runs on disk.
        paper: the paper's rows by setting.
        seeds: the seeds that each setting is meant to have.
    """
    settings = collected.settings
    scores = [comparable(setting, lambda results: results.miou) for setting in settings]
    accuracies = [comparable(setting, lambda r: r.pixel_accuracy) for setting in settings]
    trained = [comparable(setting, lambda r: r.train_miou) for setting in settings]
    prices = [price(setting.costs().values()) for setting in settings]
    level = collected.level
    best, worth = among_best(scores, level=level), _front(prices, scores, level=level)
    first = paper.get(settings[0].name)
    rows = []
    for number, setting in enumerate(settings):
        own = paper.get(setting.name)
        row = Row(
            setting,
            scores=scores[number],
            miou=summary(scores[number].values()),
            accuracy=summary(accuracies[number].values()),
            train=summary(trained[number].values()),
            difference=(
                paired_difference(scores[number], scores[0], level=level) if number else None
            ),
            best=best[number],
            front=worth[number],
            price=prices[number],
            paper=own,
            paper_difference=own.miou - first.miou if number and own and first else None,
            remarks=tuple(_remarks(setting, seeds)),
        )
        rows.append(row)
    return rows


def marks(table: Sequence[Row], *, every: bool = False) -> list[str]:
    """Return each row's mark: `best`, `≈ best`, `≈ baseline`, or two of them.

    Args:
        table: the rows.
        every: also say of rows that are told apart on which side they are.
    """
    judged = [row for row in table if row.best and row.miou]
    top = max(judged, key=lambda row: row.miou.mean if row.miou else 0.0, default=None)
    scored = sum(row.miou is not None for row in table)
    said = []
    for row in table:
        words = []
        if row.best:
            words.append("best" if row is top else "≈ best")
        elif row.best is not None and every:
            words.append("below best")
        if row.difference is not None and row.difference.significant is False:
            words.append(f"≈ {table[0].setting.name}")
        elif row.difference is not None and row.difference.significant and every:
            side = "above" if row.difference.mean > 0 else "below"
            words.append(f"{side} {table[0].setting.name}")
        if row.miou is not None and row.best is None and scored > 1:
            words.append("not judged")
        said.append(", ".join(words))
    return said


def comparable(setting: Setting, score: Callable[[Results], float | None]) -> Scores:
    """Return a score in per cent by seed, or nothing if the runs were evaluated differently."""
    results = setting.results()
    if disagreements({str(seed): r.evaluation for seed, r in results.items()}):
        return {}
    return {seed: 100 * x for seed, r in results.items() if (x := score(r)) is not None}


def class_tables(collected: Collected, kind: Kind) -> dict[str, list[ClassScore]]:
    """Return IoU per class, or per group of classes, of every setting in order."""

    def by_name(results: Results) -> Mapping[str, float | None]:
        return results.groups if kind == "group" else results.classes

    def column(name: str) -> list[ClassScore]:
        every = [comparable(s, lambda results: by_name(results).get(name)) for s in settings]
        first, *others = every
        level = collected.level
        differences = [None, *(paired_difference(x, first, level=level) for x in others)]
        return [
            ClassScore(s.name, scores=scores, iou=summary(scores.values()), difference=difference)
            for s, scores, difference in zip(settings, every, differences, strict=True)
        ]

    settings = collected.settings
    runs = (results for setting in settings for results in setting.results().values())
    return {name: column(name) for name in dict.fromkeys(n for r in runs for n in by_name(r))}


def price(costs: Iterable[Costs]) -> Price:
    """Return the costs of a setting's runs in the table's units."""
    runs = list(costs)
    memory = [run.peak_memory / 2**30 for run in runs if run.peak_memory is not None]
    rates = [run.images_per_second for run in runs if run.images_per_second is not None]
    return Price(
        _same([run.parameters for run in runs], unit=1e6),
        _same([run.parameters_inference for run in runs], unit=1e6),
        _same([run.flops for run in runs], unit=1e9),
        max(memory, default=None),
        median(rates) if rates else None,
    )


def _same(values: list[float | None], *, unit: float) -> float | None:
    known = {value for value in values if value is not None}
    return known.pop() / unit if len(known) == 1 else None


def _front(prices: list[Price], scores: list[Scores], *, level: float) -> list[bool | None]:
    costs = {
        row: price.gflop
        for row, price in enumerate(prices)
        if price.gflop is not None and scores[row]
    }
    chosen = pareto_front([*costs.values()], [scores[row] for row in costs], level=level)
    on_front = dict(zip(costs, chosen, strict=True))
    return [on_front.get(row) for row in range(len(prices))]


def _remarks(setting: Setting, seeds: Sequence[int]) -> list[str]:
    """Return a remark per reason why a setting is not a mean over all seeds."""
    if not setting.runs:
        return ["not run"]
    remarks = [
        f"seed {seed} failed: {run.reason}"
        for seed, run in setting.runs.items()
        if run.state == "failed"
    ]
    unfinished = [seed for seed, run in setting.runs.items() if run.state == "unfinished"]
    absent = [seed for seed in seeds if seed not in setting.runs]
    for state, those in (("unfinished", unfinished), ("not run", absent)):
        if those:
            remarks.append(f"seed {', '.join(map(str, those))} {state}")
    results = setting.results().items()
    remarks += [f"seed {seed} has no mIoU" for seed, r in results if r.miou is None]
    evaluations = {f"seed {seed}": r.evaluation for seed, r in results}
    remarks += [f"not averaged: {line}" for line in disagreements(evaluations)]
    costs = {
        f"seed {seed}": {"parameters": f"{run.parameters}", "flops": f"{run.flops}"}
        for seed, run in setting.costs().items()
    }
    return remarks + [f"not one network: {line}" for line in disagreements(costs)]
