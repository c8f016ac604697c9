"""The rows of a sweep's table, in numbers: per cent, GFLOP, GiB, images a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from pspnet.tools.ablation.collect import Collected, Setting, disagreements
from pspnet.tools.ablation.paper import Published
from pspnet.tools.ablation.records import Costs, Results
from pspnet.tools.ablation.statistics import Difference, Spread, among_best, front, paired, spread

Part = Literal["group", "class"]
Scores = dict[int, float]  # per cent by seed


@dataclass(frozen=True)
class Price:
    """What a setting costs; None where it is unknown, or is not the same for all seeds."""

    parameters: float | None  # millions
    parameters_inference: float | None  # millions, without the auxiliary head
    gflop: float | None  # a forward pass of one image
    memory: float | None  # GiB, the most of all seeds
    rate: float | None  # training images a second, the median over seeds


@dataclass(frozen=True)
class Line:
    """A row of the table.

    `difference` is to the table's first row, `best` whether the row is among those that cannot be
    told from the best one (None: not judged), `front` whether it is worth its cost (None: one of
    the two is unknown), and `paper_difference` the paper's, to the same row.
    """

    setting: Setting
    scores: Scores
    miou: Spread | None
    accuracy: Spread | None
    difference: Difference | None
    best: bool | None
    front: bool | None
    price: Price
    paper: Published | None
    paper_difference: float | None
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Share:
    """IoU of a class or group under one setting, and its difference to the first setting."""

    setting: str
    scores: Scores
    iou: Spread | None
    difference: Difference | None


def lines(
    collected: Collected, *, paper: Mapping[str, Published], seeds: Sequence[int]
) -> list[Line]:
    """A line a setting, in the sweep's order, which stays whatever the scores.

    Args:
        collected: what is on disk.
        paper: the paper's rows by setting.
        seeds: that each setting is meant to have.
    """
    settings = collected.settings
    scores = [comparable(setting, lambda results: results.miou) for setting in settings]
    prices = [price(setting.costs().values()) for setting in settings]
    best = among_best(scores)
    first = paper.get(settings[0].name)
    worth = _front(prices, scores)
    table = []
    for row, setting in enumerate(settings):
        accuracy = comparable(setting, lambda results: results.pixel_accuracy)
        own = paper.get(setting.name)
        line = Line(
            setting,
            scores=scores[row],
            miou=spread(scores[row].values()),
            accuracy=spread(accuracy.values()),
            difference=paired(scores[row], to=scores[0]) if row else None,
            best=best[row],
            front=worth[row],
            price=prices[row],
            paper=own,
            paper_difference=own.miou - first.miou if row and own and first else None,
            remarks=tuple(_remarks(setting, seeds)),
        )
        table.append(line)
    return table


def marks(table: Sequence[Line]) -> list[str]:
    """What the spread does not separate, in words: `≈ best`, `≈ baseline`; `best` of one alone."""
    alone = sum(bool(line.best) for line in table) == 1
    scored = sum(line.miou is not None for line in table)
    said = []
    for line in table:
        words = []
        if line.best:
            words.append("best" if alone else "≈ best")
        if line.difference is not None and line.difference.separable is False:
            words.append(f"≈ {table[0].setting.name}")
        if line.miou is not None and line.best is None and scored > 1:
            words.append("not judged")
        said.append(", ".join(words))
    return said


def comparable(setting: Setting, score: Callable[[Results], float | None]) -> Scores:
    """A score in per cent by seed; of runs that were evaluated differently, none at all."""
    results = setting.results()
    if disagreements({str(seed): r.evaluation for seed, r in results.items()}):
        return {}
    return {seed: 100 * x for seed, r in results.items() if (x := score(r)) is not None}


def parts(collected: Collected, kind: Part) -> dict[str, list[Share]]:
    """IoU by class, or by the data's groups of classes, of every setting in order."""

    def by_name(results: Results) -> Mapping[str, float | None]:
        return results.groups if kind == "group" else results.classes

    def shares(name: str) -> list[Share]:
        every = [comparable(s, lambda results: by_name(results).get(name)) for s in settings]
        first, *others = every
        differences = [None, *(paired(scores, to=first) for scores in others)]
        return [
            Share(setting.name, scores=scores, iou=spread(scores.values()), difference=difference)
            for setting, scores, difference in zip(settings, every, differences, strict=True)
        ]

    settings = collected.settings
    runs = (results for setting in settings for results in setting.results().values())
    return {name: shares(name) for name in dict.fromkeys(n for r in runs for n in by_name(r))}


def price(costs: Iterable[Costs]) -> Price:
    """Costs of a setting's runs in the table's units."""
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


def _front(prices: list[Price], scores: list[Scores]) -> list[bool | None]:
    known = [row for row, own in enumerate(scores) if own and prices[row].gflop is not None]
    costs = [gflop for row in known if (gflop := prices[row].gflop) is not None]
    chosen = dict(zip(known, front(costs, [scores[row] for row in known]), strict=True))
    return [chosen.get(row) for row in range(len(prices))]


def _remarks(setting: Setting, seeds: Sequence[int]) -> list[str]:
    """What keeps a setting from being a mean over all seeds, a sentence each."""
    if not setting.runs:
        return ["not run"]
    remarks = [
        f"seed {seed} failed: {run.reason}"
        for seed, run in setting.runs.items()
        if run.state == "failed"
    ]
    unfinished = [seed for seed, run in setting.runs.items() if run.state == "unfinished"]
    for state, those in (
        ("unfinished", unfinished),
        ("not run", [seed for seed in seeds if seed not in setting.runs]),
    ):
        if those:
            remarks.append(f"seed {', '.join(map(str, those))} {state}")
    remarks += [
        f"seed {seed} has no mIoU" for seed, r in setting.results().items() if r.miou is None
    ]
    evaluations = {f"seed {seed}": r.evaluation for seed, r in setting.results().items()}
    remarks += [f"not averaged: {line}" for line in disagreements(evaluations)]
    costs = {
        f"seed {seed}": {"parameters": f"{run.parameters}", "flops": f"{run.flops}"}
        for seed, run in setting.costs().items()
    }
    return remarks + [f"not one network: {line}" for line in disagreements(costs)]
