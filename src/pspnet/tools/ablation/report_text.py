"""The text of report.md: header, main table with its legend, IoU by group and class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from pspnet.tools.ablation.collect import Collected, Setting, disagreements
from pspnet.tools.ablation.paper_results import explanation
from pspnet.tools.ablation.statistics.paired import LEVEL, Difference, Summary
from pspnet.tools.ablation.tables import ClassScore, Row, marks

MANY = 25  # classes; a longer table is folded
NONE = "–"


def report_text(
    collected: Collected,
    table: Sequence[Row],
    *,
    groups: Mapping[str, Sequence[ClassScore]],
    classes: Mapping[str, Sequence[ClassScore]],
    title: str,
    seeds: Sequence[int],
    figures: Mapping[str, str],
) -> str:
    """Return report.md.

    Args:
        collected: the runs on disk.
        table: the rows of the main table.
        groups: IoU per group, a score per setting.
        classes: IoU per class, a score per setting.
        title: sweep and data.
        seeds: the seeds that each setting is meant to have.
        figures: the caption of each figure by its file name.
    """
    left_out = "\n".join(f"- {_escaped(note)}" for note in collected.notes)
    blocks = [
        f"# Ablation {_escaped(title)}",
        *_header(collected.settings, seeds),
        *_stopping(collected.level),
        _main_table(table),
        *_legend(table),
        *(f"![{caption}]({name})" for name, caption in figures.items()),
        *_group_table(groups, first=table[0].setting.name),
        *_class_table(classes),
        *(["## Files left out", left_out] if left_out else []),
    ]
    return "\n\n".join(blocks) + "\n"


def _number(value: float | None, *, digits: int = 2) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def _plus_minus(of: Summary | None) -> str:
    """Write mean ± standard deviation, or a single value."""
    if of is None or of.deviation is None:
        return _number(of.mean if of else None)
    return f"{of.mean:.2f} ± {of.deviation:.2f}"


def _interval(of: Difference | None, *, scored: Summary | None) -> str:
    """Write a difference, its interval, and the number of pairs if it is below that of seeds."""
    if of is None:
        return NONE
    if of.low is None or of.high is None:
        return f"{of.mean:+.2f} (1 pair, no interval)"
    fewer = "" if scored is None or scored.count == of.count else f" ({of.count} pairs)"
    return f"{of.mean:+.2f} [{of.low:+.2f}, {of.high:+.2f}]{fewer}"


def _header(settings: Sequence[Setting], seeds: Sequence[int]) -> list[str]:
    finished, failed, unfinished = (
        sum(setting.count(state) for setting in settings)
        for state in ("finished", "failed", "unfinished")
    )
    # seeds beyond the intended ones are runs too
    meant = sum(len({*seeds, *setting.runs}) for setting in settings)
    missing = meant - finished - failed - unfinished
    counts = (("failed", failed), ("unfinished", unfinished), ("not run", missing))
    rest = "".join(f"; {state}: {count}" for state, count in counts if count)
    runs = (
        f"Runs finished: {finished} of {meant}{rest}. Seeds: {', '.join(map(str, seeds)) or NONE}."
    )
    return [runs, *_protocols(settings), *_machines(settings)]


def _stopping(level: float) -> list[str]:
    if level == LEVEL:
        return []
    return [
        f"This sweep may stop early: each look takes the level {100 * level:.2f} %, so that all"
        " looks of a comparison err in at most 5 of 100 cases. The intervals hold at every look."
    ]


def _protocols(settings: Sequence[Setting]) -> list[str]:
    ways = [r.evaluation for setting in settings for r in setting.results().values()]
    if not ways:
        return []
    names = dict.fromkeys(
        f"{way['protocol']} on {way['split']} (absent classes: {way['absent']})" for way in ways
    )
    said = f"Protocol: {'; '.join(names)}."
    one_each = {
        setting.name: next(iter(results.values())).evaluation
        for setting in settings
        if (results := setting.results())
    }
    differing = [_escaped(line) for line in disagreements(one_each)]
    if differing:
        said += f" The rows also differ in their evaluation: {'; '.join(differing)}."
    return [said]


def _machines(settings: Sequence[Setting]) -> list[str]:
    costs = [run for setting in settings for run in setting.costs().values()]
    if not costs:
        return []
    machines = Counter(f"{run.device}, threads: {_number(run.threads, digits=0)}" for run in costs)
    each = "; ".join(f"{name} (runs: {count})" for name, count in machines.items())
    hours = sum(run.seconds or 0 for run in costs) / 3600
    sizes = ", ".join(dict.fromkeys(run.crop_size for run in costs))
    kinds = " or ".join(dict.fromkeys(run.peak_memory_of for run in costs))
    return [
        f"Machine: {_escaped(each)}; {hours:.2f} hours of training in all. GFLOP: forward pass of "
        f"one {sizes} image. Memory: the peak of the {kinds}."
    ]


def _main_table(table: Sequence[Row]) -> str:
    paper, trained = any(row.paper for row in table), any(row.train for row in table)
    heads = [
        *("setting", "mIoU, %", f"Δ to {table[0].setting.name} [95 %]"),
        *(["paper's Δ"] if paper else []),
        *("mark", "pixel accuracy, %", *(["train mIoU, %"] if trained else []), "seeds"),
        *("parameters (inference), M", "GFLOP"),
        *("memory, GiB", "images/s"),
        *(["paper: mIoU / accuracy"] if paper else []),
        "remarks",
    ]
    rows = [
        [
            *(row.setting.name, _plus_minus(row.miou), _interval(row.difference, scored=row.miou)),
            *([_signed(row.paper_difference)] if paper else []),
            *(mark, _plus_minus(row.accuracy), *([_plus_minus(row.train)] if trained else [])),
            str(row.miou.count if row.miou else 0),
            _both(row.price.parameters, row.price.parameters_inference),
            *(_number(row.price.gflop), _number(row.price.memory), _number(row.price.rate)),
            *([_paper(row)] if paper else []),
            "; ".join(row.remarks),
        ]
        for row, mark in zip(table, marks(table), strict=True)
    ]
    return _markdown_table(heads, rows)


def _legend(table: Sequence[Row]) -> list[str]:
    first = table[0].setting.name
    said = [
        "mIoU and pixel accuracy: mean ± sample standard deviation over seeds. Δ: mean of the "
        f"differences to `{first}` at the same seed, in points, with Student's 95 % interval."
    ]
    if any(row.train for row in table):
        said.append(
            "Train mIoU: of the last epoch's augmented crops, as the network saw them while it "
            "learned; the difference to mIoU shows overfitting between rows, not by itself."
        )
    if any(row.best is not None for row in table):
        said.append(
            f"`≈ {first}`: this interval holds 0. `best`: the row of the highest mean. `≈ best`: "
            "those that the same paired test at 5 % cannot tell from it, with Holm's correction. "
            f"The comparison with `{first}` needs no correction. The order of such rows means "
            "nothing."
        )
    if any("not judged" in mark for mark in marks(table)):
        said.append("`not judged`: fewer than two seeds in common with the best row.")
    if any(row.paper for row in table):
        said.append(explanation([row.setting.name for row in table if row.paper]))
    return said


def _group_table(groups: Mapping[str, Sequence[ClassScore]], *, first: str) -> list[str]:
    if not groups:
        return []
    heads = ["setting", *(x for group in groups for x in (f"{group}, %", f"Δ to {first} [95 %]"))]
    rows = [
        [row[0].setting, *(x for score in row for x in (_plus_minus(score.iou), _marked(score)))]
        for row in zip(*groups.values(), strict=True)
    ]
    return ["## IoU by group", _markdown_table(heads, rows), "`≈`: the interval holds 0."]


def _marked(score: ClassScore) -> str:
    said = _interval(score.difference, scored=score.iou)
    same = score.difference is not None and score.difference.significant is False
    return f"{said} ≈" if same else said


def _class_table(classes: Mapping[str, Sequence[ClassScore]]) -> list[str]:
    if not classes:
        return []
    scores = next(iter(classes.values()))
    rows = [[name, *(_plus_minus(score.iou) for score in row)] for name, row in classes.items()]
    table = _markdown_table(["IoU, %", *(score.setting for score in scores)], rows)
    if len(classes) > MANY:
        table = f"<details><summary>{len(classes)} classes</summary>\n\n{table}\n\n</details>"
    return ["## IoU by class", table]


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table with numbers aligned right and words aligned left."""
    rule = ["---", *("---" if head in ("mark", "remarks") else "--:" for head in heads[1:])]
    texts = ([_escaped(cell) for cell in cells] for cells in (heads, *rows))
    first, *others = (f"| {' | '.join(cells)} |" for cells in texts)
    return "\n".join([first, f"| {' | '.join(rule)} |", *others])


def _escaped(text: str) -> str:
    """Escape a text so that Markdown shows it as it is."""
    return re.sub(r"([\\|<*`~])", r"\\\1", text)


def _both(parameters: float | None, inference: float | None) -> str:
    return NONE if parameters is None else f"{_number(parameters)} ({_number(inference)})"


def _signed(value: float | None) -> str:
    return NONE if value is None else f"{value:+.2f}"


def _paper(row: Row) -> str:
    return f"{row.paper.miou:.2f} / {row.paper.accuracy:.2f}" if row.paper else NONE
