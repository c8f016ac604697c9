"""The quick form of `pspnet check`, before the first step of a training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, zip_longest
from time import monotonic

from pspnet.data.datasets.base import Sample, Source
from pspnet.data.facts.findings import Finding, Seen, file_errors
from pspnet.data.facts.forms import turned
from pspnet.data.facts.label_values import suspect_values
from pspnet.data.facts.memory import Memory
from pspnet.data.facts.sample import read_facts

BUDGET = 0.5  # seconds
LEAST = 4  # samples that are read in any case
LONGEST = 10.0  # seconds, until a suspicion that no label refutes is only a warning


def quick_check(
    source: Source, train: Sequence[Sample], val: Sequence[Sample]
) -> tuple[str, list[Finding]]:
    """Read samples for about half a second, evenly spread over both splits; all if they are few.

    Where the values of those labels raise a suspicion, others are read until one refutes it. What
    `check` has read and remembered counts at once.

    Returns:
        A line on what was read, and errors and warnings.
    """
    begun, memory = monotonic(), Memory(source)
    seen = []
    unread = (
        Seen(split, sample, memory.recall(sample) or read_facts(source, sample, light=True))
        for split, sample in _alternating(train, val)
    )
    for it in unread:
        seen.append(it)
        if monotonic() - begun > BUDGET and len(seen) >= LEAST:
            break
    suspicions = suspect_values(source, seen)
    while suspicions and monotonic() - begun < LONGEST:
        further = [*islice(unread, len(seen))]
        if not further:
            break
        seen += further
        suspicions = suspect_values(source, seen)
    total = len(train) + len(val)
    if len(seen) < total:  # a rare class may be in the others
        suspicions = [replace(it, level="warning") for it in suspicions]
    findings = suspicions + file_errors(seen) + turned(seen)
    read = f"all {total}" if len(seen) == total else f"{len(seen)} of {total}"
    count = len(findings)
    found = f"{count} finding{'s' * (count != 1)}" if findings else "nothing found"
    rest = "" if len(seen) == total else " (pspnet check reads all)"
    return f"check: {read} images read in {monotonic() - begun:.1f} s, {found}{rest}", findings


def _alternating(train: Sequence[Sample], val: Sequence[Sample]) -> Iterator[tuple[str, Sample]]:
    """Yield all samples with their splits, so that each beginning is spread over both splits."""
    pairs = zip_longest(
        *(
            [(split, its[k]) for k in _spread(len(its))]
            for split, its in (("val", val), ("train", train))
        )
    )
    return (it for it in chain.from_iterable(pairs) if it is not None)


def _spread(count: int) -> list[int]:
    """Return 0 … count - 1 by their bits reversed, so that each beginning is spread evenly."""
    bits = max(1, (count - 1).bit_length())
    numbers = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits))
    return [number for number in numbers if number < count]
