"""Figures of each split: images, sizes, pixels per class, and what lacks labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pspnet.data.datasets.classes import Classes
from pspnet.data.facts.findings import Finding, Level, Seen

MOST = 12  # classes that are named


@dataclass(frozen=True)
class Summary:
    """Figures of a split.

    Args:
        split: its name.
        images: number of images, of which `read` could be read.
        labels: number of labels that could be read.
        sizes: images of each (H, W), the most frequent first.
        pixels: pixels of each class.
        images_with: images of each class.
        ignored: share of pixels that are ignored.
        single: labels of a single class, with or without ignored pixels.
        empty: labels without a pixel of any class.
    """

    split: str
    images: int
    read: int
    labels: int
    sizes: dict[tuple[int, int], int]
    pixels: list[int]
    images_with: list[int]
    ignored: float
    single: int
    empty: int


def summarize(split: str, seen: Sequence[Seen], classes: int) -> Summary:
    """Return the figures of the samples of a split."""
    facts = [it.facts for it in seen]
    counts = np.array([one.counts for one in facts if one.labeled]).reshape(-1, classes + 1)
    present = counts[:, :-1] > 0
    sizes = Counter(one.size for one in facts if one.size is not None)
    return Summary(
        split=split,
        images=len(facts),
        read=sizes.total(),
        labels=len(counts),
        sizes=dict(sizes.most_common()),
        pixels=counts[:, :-1].sum(0).tolist(),
        images_with=present.sum(0).tolist(),
        ignored=float(counts[:, -1].sum() / max(1, counts.sum())),
        single=int((present.sum(1) == 1).sum()),
        empty=int((present.sum(1) == 0).sum()),
    )


def color_findings(classes: Classes) -> list[Finding]:
    """Return notes on classes of one color, which figures and predictions do not tell apart."""
    by_color: dict[tuple[int, int, int], list[str]] = {}
    for name, color in zip(classes.names, classes.colors, strict=True):
        by_color.setdefault(color, []).append(name)
    return [
        Finding("note", "one color", f"{' and '.join(names)} have one color, {list(color)}")
        for color, names in by_color.items()
        if len(names) > 1
    ]


def class_findings(names: Sequence[str], summaries: Sequence[Summary]) -> list[Finding]:
    """Return a warning about classes that train lacks, and notes on those that others lack."""
    findings, trained = [], {*names}
    for it in (it for it in summaries if it.labels):
        absent = [name for name, pixels in zip(names, it.pixels, strict=True) if not pixels]
        if it.split == "train":
            trained -= {*absent}
        missed = [name for name in absent if it.split == "train" or name in trained]
        if missed:
            some = ", ".join(missed[:MOST]) + ", …" * (len(missed) > MOST)
            of = f"{len(missed)} of {len(names)} classes"
            text = f"{it.split}: no pixel of {some} ({of}) in {it.labels} labels"
            level: Level = "warning" if it.split == "train" else "note"
            findings.append(Finding(level, "class without a pixel", text))
    return findings


def label_findings(seen: Sequence[Seen], summaries: Sequence[Summary]) -> list[Finding]:
    """Return warnings about labels that teach little: empty, of one class, or mostly ignored."""
    findings = []
    for summary in summaries:
        its = [it for it in seen if it.split == summary.split and it.facts.labeled]
        empty = [it for it in its if not it.facts.counts[:-1].any()]
        if its and len(empty) == len(its):
            text = f"{summary.split}: no label has a pixel of any class; correct the values"
            findings.append(Finding("error", "no labeled pixel", text, empty))
        elif empty:
            text = (
                f"{summary.split}: no pixel of any class in {len(empty)} of {len(its)} labels,"
                f" first {empty[0].sample.label}"
            )
            findings.append(Finding("warning", "no labeled pixel", text, empty))
        if its and summary.single == len(its) > 1:
            text = f"{summary.split}: each of the {len(its)} labels has pixels of one class only"
            findings.append(Finding("warning", "single value", text))
        if its and summary.ignored > 0.5 and len(empty) < len(its):
            text = f"{summary.split}: {summary.ignored:.0%} of all pixels are ignored"
            findings.append(Finding("warning", "mostly ignored", text))
    return findings
