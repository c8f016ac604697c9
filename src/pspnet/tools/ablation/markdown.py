"""The report's text: header, table and what its signs mean, IoU by group and class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from pspnet.tools.ablation.collect import Collected, Setting, disagreements
from pspnet.tools.ablation.paper import about
from pspnet.tools.ablation.statistics import Difference, Spread
from pspnet.tools.ablation.table import Line, Share, marks

MANY = 25  # classes that are folded away
NONE = "–"


def document(
    collected: Collected,
    table: Sequence[Line],
    *,
    groups: Mapping[str, Sequence[Share]],
    classes: Mapping[str, Sequence[Share]],
    title: str,
    seeds: Sequence[int],
    pictures: Sequence[str],
) -> str:
    """All of report.md.

    Args:
        collected: what is on disk.
        table: a line a setting.
        groups: IoU of each group, a share a setting.
        classes: IoU of each class, a share a setting.
        title: sweep and data.
        seeds: that each setting is meant to have.
        pictures: Markdown of the pictures.
    """
    left_out = "\n".join(f"- {_plain(note)}" for note in collected.notes)
    blocks = [
        f"# Ablation {_plain(title)}",
        *_header(collected.settings, seeds),
        _table(table),
        *_legend(table),
        *pictures,
        *_groups(groups, first=table[0].setting.name),
        *_classes(classes),
        *(["## Files left out", left_out] if left_out else []),
    ]
    return "\n\n".join(blocks) + "\n"


def picture(about: str, path: str) -> str:
    """A picture beside the text."""
    return f"![{about}]({path})"


def number(value: float | None, *, digits: int = 2) -> str:
    """A number, or a dash if it is unknown."""
    return NONE if value is None else f"{value:.{digits}f}"


def plus_minus(of: Spread | None) -> str:
    """Mean ± standard deviation, the mean alone of one value."""
    if of is None:
        return NONE
    if of.deviation is None:
        return number(of.mean)
    return f"{of.mean:.2f} ± {of.deviation:.2f}"


def interval(of: Difference | None, *, pairs: int | None = None) -> str:
    """A difference with its interval, and the number of pairs unless it is the one expected."""
    if of is None:
        return NONE
    if of.low is None or of.high is None:
        return f"{of.mean:+.2f} (1 pair, no interval)"
    fewer = "" if pairs in (None, of.count) else f" ({of.count} pairs)"
    return f"{of.mean:+.2f} [{of.low:+.2f}, {of.high:+.2f}]{fewer}"


def _header(settings: Sequence[Setting], seeds: Sequence[int]) -> list[str]:
    finished, failed, unfinished = (
        sum(setting.count(state) for setting in settings)
        for state in ("finished", "failed", "unfinished")
    )
    # seeds beyond those meant, and settings with other ones, are runs too
    meant = sum(len({*seeds, *setting.runs}) for setting in settings)
    missing = meant - finished - failed - unfinished
    counts = (("failed", failed), ("unfinished", unfinished), ("not run", missing))
    rest = "".join(f"; {state}: {count}" for state, count in counts if count)
    runs = (
        f"Runs finished: {finished} of {meant}{rest}. Seeds: {', '.join(map(str, seeds)) or NONE}."
    )
    return [runs, *_protocols(settings), *_machines(settings)]


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
    differing = [_plain(line) for line in disagreements(one_each)]
    if differing:
        said += (
            f" Rows are evaluated differently, so they differ by that too: {'; '.join(differing)}."
        )
    return [said]


def _machines(settings: Sequence[Setting]) -> list[str]:
    costs = [run for setting in settings for run in setting.costs().values()]
    if not costs:
        return []
    machines = Counter(f"{run.device}, threads: {number(run.threads, digits=0)}" for run in costs)
    each = "; ".join(f"{name} (runs: {count})" for name, count in machines.items())
    hours = sum(run.seconds or 0 for run in costs) / 3600
    sizes = ", ".join(dict.fromkeys(run.crop_size for run in costs))
    kinds = " or ".join(dict.fromkeys(run.peak_memory_of for run in costs))
    return [
        f"Machine: {_plain(each)}; {hours:.2f} hours of training in all. GFLOP: forward pass of "
        f"one {sizes} image. Memory: most that the {kinds} held."
    ]


def _table(table: Sequence[Line]) -> str:
    first = table[0].setting.name
    paper = any(line.paper for line in table)
    heads = [
        *("setting", "mIoU, %", f"Δ to {first} [95 %]"),
        *(["paper's Δ"] if paper else []),
        *("mark", "pixel accuracy, %", "seeds", "parameters (inference), M", "GFLOP"),
        *("memory, GiB", "images/s"),
        *(["paper: mIoU / accuracy"] if paper else []),
        "remarks",
    ]
    rows = [
        [
            *(line.setting.name, plus_minus(line.miou)),
            interval(line.difference, pairs=line.miou.count if line.miou else None),
            *([_signed(line.paper_difference)] if paper else []),
            *(mark, plus_minus(line.accuracy), str(line.miou.count if line.miou else 0)),
            _both(line.price.parameters, line.price.parameters_inference),
            *(number(line.price.gflop), number(line.price.memory), number(line.price.rate)),
            *([_paper(line)] if paper else []),
            "; ".join(line.remarks),
        ]
        for line, mark in zip(table, marks(table), strict=True)
    ]
    return _markdown(heads, rows)


def _legend(table: Sequence[Line]) -> list[str]:
    first = table[0].setting.name
    said = [
        "mIoU and pixel accuracy: mean ± sample standard deviation over seeds. Δ: mean of the "
        f"differences to `{first}` at the same seed, in points, with Student's 95 % interval."
    ]
    if any(line.best is not None for line in table):
        said.append(
            f"`≈ {first}`: this interval holds 0. `≈ best`: the row of the highest mean and those "
            "that it cannot be told from, by the same paired test at 5 %, with Holm's correction "
            f"but for `{first}`, whose comparisons are those of the intervals. In what order such "
            "rows stand means nothing."
        )
    if any("not judged" in mark for mark in marks(table)):
        said.append("`not judged`: fewer than two seeds in common with the best row.")
    if any(line.paper for line in table):
        said.append(about([line.setting.name for line in table if line.paper]))
    return said


def _groups(groups: Mapping[str, Sequence[Share]], *, first: str) -> list[str]:
    if not groups:
        return []
    heads = ["setting", *(x for group in groups for x in (f"{group}, %", f"Δ to {first} [95 %]"))]
    by_setting = zip(*groups.values(), strict=True)
    rows = [
        [row[0].setting, *(x for share in row for x in (plus_minus(share.iou), _share(share)))]
        for row in by_setting
    ]
    return ["## IoU by group", _markdown(heads, rows), "`≈`: the interval holds 0."]


def _share(share: Share) -> str:
    said = interval(share.difference, pairs=share.iou.count if share.iou else None)
    same = share.difference is not None and share.difference.separable is False
    return f"{said} ≈" if same else said


def _classes(classes: Mapping[str, Sequence[Share]]) -> list[str]:
    if not classes:
        return []
    shares = next(iter(classes.values()))
    rows = [[name, *(plus_minus(share.iou) for share in row)] for name, row in classes.items()]
    table = _markdown(["IoU, %", *(share.setting for share in shares)], rows)
    if len(classes) > MANY:
        table = f"<details><summary>{len(classes)} classes</summary>\n\n{table}\n\n</details>"
    return ["## IoU by class", table]


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of numbers, which stand right, and of words, which stand left."""
    words = ("mark", "remarks")
    rule = ["---", *("---" if head in words else "--:" for head in heads[1:])]
    texts = ([_plain(cell) for cell in cells] for cells in (heads, *rows))
    first, *others = (f"| {' | '.join(cells)} |" for cells in texts)
    return "\n".join([first, f"| {' | '.join(rule)} |", *others])


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\|<*`~])", r"\\\1", text)


def _both(parameters: float | None, inference: float | None) -> str:
    return NONE if parameters is None else f"{number(parameters)} ({number(inference)})"


def _signed(value: float | None) -> str:
    return NONE if value is None else f"{value:+.2f}"


def _paper(line: Line) -> str:
    return f"{line.paper.miou:.2f} / {line.paper.accuracy:.2f}" if line.paper else NONE
