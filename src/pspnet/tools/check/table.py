"""The report on the terminal: a table of the splits, one of the classes, then the findings."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from pspnet.errors import shortened
from pspnet.tools.check.report import Report
from pspnet.tools.check.summary import Summary

MOST_LINES = 40  # of one level and kind; check.json has all


def print_report(report: Report) -> None:
    """Print tables on stdout, and a line per finding on stderr."""
    if report.summaries:
        print(f"\n{_aligned([_split_head(), *map(_split_row, report.summaries)])}\n")
        print(f"{_aligned([*_class_rows(report)])}\n")
    sys.stdout.flush()
    told: Counter[tuple[str, str]] = Counter()
    for it in report.findings:
        told[it.level, it.kind] += 1
        if told[it.level, it.kind] <= MOST_LINES:
            sys.stderr.write(f"{it.level}: {shortened(' '.join(it.text.split()))}\n")
    for (level, kind), count in told.items():
        if count > MOST_LINES:
            sys.stderr.write(f"{level}: {count - MOST_LINES} more ({kind}), see check.json\n")
    counted = ", ".join(report.counted().values())
    images = sum(it.images for it in report.summaries)
    print(f"check: {images} images read in {report.seconds:.1f} s: {counted}")


def _split_head() -> list[str]:
    return ["split", "images", "read", "labels", "sizes (W×H)", "ignored", "one class", "no pixel"]


def _split_row(it: Summary) -> list[str]:
    numbers = [it.images, it.read, it.labels]
    shares = [f"{it.ignored:.2%}", it.single, it.empty] if it.labels else ["–", "–", "–"]
    return [it.split, *map(str, numbers), sizes_text(it), *map(str, shares)]


def sizes_text(it: Summary) -> str:
    """Return the size of a split's images, or the smallest and the largest."""
    if len(it.sizes) < 2:
        return "".join(f"{width}×{height}" for height, width in it.sizes) or "–"
    least, *_, most = sorted(it.sizes, key=lambda size: size[0] * size[1])
    return f"{least[1]}×{least[0]} to {most[1]}×{most[0]} ({len(it.sizes)})"


def _class_rows(report: Report) -> Iterator[list[str]]:
    assert report.classes is not None
    its = [it for it in report.summaries if it.labels]
    yield ["class", *(f"{it.split} {what}" for it in its for what in ("pixels", "images"))]
    for number, name in enumerate(report.classes.names):
        yield [name, *(cell for it in its for cell in class_cells(it, number))]


def class_cells(it: Summary, number: int) -> list[str]:
    """Return the share of a class in the labeled pixels of a split, and its images."""
    return [f"{it.pixels[number] / max(1, sum(it.pixels)):.3%}", str(it.images_with[number])]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)
