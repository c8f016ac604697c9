"""Suspicions about the values of labels: they mean other classes than the class table says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from pspnet.data.datasets.base import Source
from pspnet.data.datasets.classes import IGNORE
from pspnet.data.facts.findings import Finding, Seen
from pspnet.data.facts.sample import COLOR

MANY = 8  # more values than classes than a mistake in the class table explains
FEW_HOLD = 0.6  # share of pixels that true values hold in spite of noise


def suspect_values(source: Source, seen: Sequence[Seen]) -> list[Finding]:
    """Return suspicions about the values that label files hold, all files taken together."""
    labels = [it for it in seen if it.facts.label.stored]
    stored: Counter[int] = Counter()
    for it in labels:
        stored.update(_grays(it.facts.label.stored))
    if not stored or any(it.facts.label.distinct > len(it.facts.label.stored) for it in labels):
        return _noise(source, labels)
    checks = (_only_0_and_255, _one_more_value)
    return [finding for check in checks for finding in check(source, labels, stored)] + _noise(
        source, labels
    )


def _only_0_and_255(source: Source, labels: Sequence[Seen], stored: Counter[int]) -> list[Finding]:
    absent = _absent(source, labels)
    ignored = sum(int(it.facts.counts[-1]) for it in labels)
    if set(stored) != {0, IGNORE} or ignored < stored[IGNORE] or not absent:
        return []  # white may be the color of a class
    names = source.classes.names
    first = next(it for it in labels if IGNORE in _grays(it.facts.label.stored))
    share = stored[IGNORE] / stored.total()
    colors = [*source.classes.colors]
    black_is_second = (0, 0, 0) in colors[1:2] or (255, 255, 255) in colors[:1]
    low, high = (names[1], names[0]) if black_is_second else (*names, "…", "…")[:2]
    values = f"{{0: {low}, 255: {high}}}"
    return [
        Finding(
            "error",
            "0 and 255",
            f"{first.sample.label}: all {len(labels)} masks hold only the values 0 and 255, of"
            f" which 255 ({share:.1%} of the pixels) is ignored, so that no pixel is"
            f" {absent[0]!r}; write `values: {values}` in classes.yaml, or save the class as 1",
            [first],
        )
    ]


def _one_more_value(source: Source, labels: Sequence[Seen], stored: Counter[int]) -> list[Finding]:
    """Values 1…C where 0…C-1 are expected, or 0…C."""
    count, table = len(source.classes), source.label_code.values
    values = sorted(value for value in stored if value < len(table) and table[value] != IGNORE)
    refused = [value for value in values if table[value] < 0]
    in_order = (table[:count] == np.arange(count)).all()
    if refused != [count] or not in_order or max(stored) >= COLOR:
        return []
    first = next(it for it in labels if count in it.facts.label.stored)
    if 0 in stored:
        text = (
            f"the masks hold 0 to {count}, one value more than the {count} classes; name the"
            " missing class in classes.yaml (often `background`, as the value 0), or ignore a value"
        )
        return [Finding("error", "one class too few", f"{first.sample.label}: {text}", [first])]
    text = (
        f"the masks hold values from {values[0]} to {count} and 0 never occurs, as if classes were"
        " counted from 1; write `reduce_zero_label: true` in classes.yaml"
    )
    return [Finding("error", "off by one", f"{first.sample.label}: {text}", [first])]


def unknown_values(source: Source, seen: Sequence[Seen]) -> list[Finding]:
    """Return a finding on a few values that no class has, such as a border's, all taken together.

    Other suspicions say more about them.
    """
    if suspect_values(source, seen):
        return []
    table = source.label_code.values
    refused = [it for it in seen if it.facts.label.mode == "L" and not it.facts.labeled]
    refused = [it for it in refused if any(table[value] < 0 for value in it.facts.label.stored)]
    stored = [it.facts.label.stored for it in refused]
    found = sorted({value for one in stored for value in one if table[value] < 0})
    if len(refused) < 2 or len(found) > MANY:
        return []
    pixels = sum(one.get(value, 0) for one in stored for value in found)
    share = pixels / sum(sum(one.values()) for one in stored)
    text = (
        f"{refused[0].sample.label}: {len(refused)} of {len(seen)} masks hold {found}, which no"
        f" class has, in {share:.2%} of their pixels; name them in classes.yaml, or write `ignore:"
        f" {found}` there"
    )
    return [Finding("error", "unknown values", text, refused)]


def _noise(source: Source, labels: Sequence[Seen]) -> list[Finding]:
    """Masks of far more values than classes, as lossy files and smooth resizing leave them."""
    noisy: list[tuple[Seen, float]] = []
    pictures: list[tuple[Seen, float]] = []
    for it in labels:
        form = it.facts.label
        if it.facts.labeled or form.distinct <= len(source.classes) + MANY:
            continue
        pixels = np.array(sorted(form.stored.values(), reverse=True))
        total = _pixels(it) or pixels.sum()
        held = pixels[: len(source.classes) + 1].sum() / total
        (noisy if held > FEW_HOLD else pictures).append((it, held))
    findings = []
    if noisy:
        first, held = noisy[0]
        findings.append(
            Finding(
                "error",
                "noise in masks",
                f"{first.sample.label}: {len(noisy)} masks hold a few values in {held:.0%} of"
                f" their pixels and {first.facts.label.distinct} different ones in total, as JPEG"
                " compression or smooth resizing leaves them; export them again as PNG, and resize"
                " masks with nearest neighbors only",
                [it for it, _ in noisy],
            )
        )
    if pictures:
        first, _ = pictures[0]
        findings.append(
            Finding(
                "error",
                "pictures as masks",
                f"{first.sample.label}: {len(pictures)} masks hold"
                f" {first.facts.label.distinct} and more different values, as photographs do; take"
                " the files of classes, not pictures or overlays of them",
                [it for it, _ in pictures],
            )
        )
    return findings


def _pixels(it: Seen) -> int:
    return 0 if it.facts.size is None else it.facts.size[0] * it.facts.size[1]


def _grays(stored: Mapping[int, int]) -> dict[int, int]:
    """Return values and pixels, with gray colors as their values."""
    return {
        value & 255 if value >= COLOR and (value - COLOR) % 0x010101 == 0 else value: pixels
        for value, pixels in stored.items()
    }


def _absent(source: Source, labels: Sequence[Seen]) -> list[str]:
    total = np.sum([it.facts.counts[:-1] for it in labels], axis=0)
    return [name for name, pixels in zip(source.classes.names, total, strict=True) if not pixels]
