"""The report as one page that needs no other file, and shows the samples that findings name."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from pspnet.data.facts.findings import Finding, Seen
from pspnet.data.image_io import read_picture
from pspnet.errors import UserError, visible
from pspnet.tools.check.report import Report
from pspnet.tools.check.summary import Summary
from pspnet.tools.check.table import class_cells, sizes_text
from pspnet.tools.check.yaml_text import proposals_text

PICTURES, PER_KIND = 60, 6  # of the page, and of findings of one kind
LISTED = 200  # findings of one kind in words; check.json has all
WIDTH = 176  # pixels of a picture
STYLE = """
:root { color-scheme: light dark; --line: light-dark(#ccd2d9, #3b424b);
  --soft: light-dark(#f3f5f7, #1d2127); --bar: light-dark(#5b83b0, #6f9bd0);
  --error: light-dark(#b3261e, #ff8a80); --warning: light-dark(#8a5a00, #f0b95a);
  --note: light-dark(#4a5560, #a6b0ba) }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 70rem;
  background: light-dark(#fff, #14171b); color: light-dark(#1a1e23, #e4e8ec) }
h1 { font-size: 1.4rem; margin: .2rem 0 } h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem }
h3 { font-size: 1rem; margin: 1.1rem 0 .3rem } p { margin: .3rem 0 }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem .2rem 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line) } th:first-child, td:first-child { text-align: left }
th { font-weight: 600 } .chip { display: inline-block; width: .8em; height: .8em;
  margin-right: .5em; border: 1px solid var(--line) }
.bar { display: inline-block; width: 6rem; height: .6em; margin-left: .5em;
  background: var(--soft) } .bar i { display: block; height: 100%; background: var(--bar) }
li { margin: .25rem 0; overflow-wrap: anywhere } ul { padding-left: 1.2rem; margin: .3rem 0 }
.error { color: var(--error) } .warning { color: var(--warning) } .note { color: var(--note) }
.pictures { display: flex; flex-wrap: wrap; gap: .7rem; margin: .5rem 0 }
figure { margin: 0 } figure img { width: 176px; max-width: 46vw; margin-right: 2px;
  outline: 1px solid var(--line) }
figcaption { font-size: .8rem; max-width: 356px; overflow-wrap: anywhere }
pre { background: var(--soft); padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere }
"""


def page(report: Report) -> str:
    """Return the report as HTML."""
    kind = type(report.source).__name__
    name = str(getattr(report.source, "root", kind))
    images = sum(it.images for it in report.summaries)
    parts = [
        f"<h1>Check of {_text(name)}</h1><p>Read as {_text(kind)}.</p>",
        f"<p>{_counted(report)}; {images} images in {report.seconds:.1f} s."
        f" {_text(report.source.origin)}</p>",
        *_findings(report),
        *_splits(report),
        *_classes(report),
    ]
    if report.proposals:
        parts.append(f"<h2>Proposals</h2><pre>{_text(proposals_text(report.proposals))}</pre>")
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport"'
        f' content="width=device-width, initial-scale=1"><title>check: {_text(name)}</title>'
        f"<style>{STYLE}</style></head><body>"
    )
    return head + "\n".join(parts) + "</body></html>\n"


def _text(value: object) -> str:
    """Return a text with its lines as they are, escaped."""
    return escape("\n".join(map(visible, str(value).split("\n"))))


def _counted(report: Report) -> str:
    return ", ".join(
        f'<span class="{level}">{count}</span>' for level, count in report.counted().items()
    )


def _findings(report: Report) -> Iterator[str]:
    yield "<h2>Findings</h2>"
    if not report.findings:
        yield "<p>None.</p>"
    groups: dict[tuple[str, str], list[Finding]] = {}
    for it in report.findings:
        groups.setdefault((it.level, it.kind), []).append(it)
    left = PICTURES
    for (level, kind), its in groups.items():
        yield f'<h3><span class="{level}">{level}</span>: {_text(kind)} ({len(its)})</h3><ul>'
        yield from (f"<li>{_text(it.text)}</li>" for it in its[:LISTED])
        more = len(its) - LISTED
        yield f"</ul><p>{more} more in check.json</p>" if more > 0 else "</ul>"
        shown = [one for it in its for one in it.seen][: min(PER_KIND, left)]
        left -= len(shown)
        if shown:
            yield f'<div class="pictures">{"".join(_figure(report, one) for one in shown)}</div>'


def _figure(report: Report, it: Seen) -> str:
    shown = [*_pictures(report, it)]
    if not shown:
        return ""
    caption = f"<figcaption>{_text(it.sample.name)} ({_text(it.split)})</figcaption>"
    pictures = "".join(
        f'<img alt="{what}" src="data:image/png;base64,{_encoded(pixels)}">'
        for what, pixels in shown
    )
    return f"<figure>{pictures}{caption}</figure>"


def _pictures(report: Report, it: Seen) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the image and its label in the classes' colors, as far as they can be read."""
    try:
        yield "image", read_picture(it.sample.image, report.source.channels)
        if it.sample.label is not None and report.classes is not None:
            palette = report.classes.palette()
            palette[255] = 255
            yield "label", palette[report.source.read_label(it.sample)]
    except UserError:
        return


def _encoded(pixels: np.ndarray) -> str:
    image, content = Image.fromarray(pixels), io.BytesIO()
    height = max(1, min(2 * WIDTH, round(WIDTH * image.height / image.width)))
    image = image.resize((WIDTH, height), Image.Resampling.BOX)
    image.quantize(64).save(content, "PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["".join(f"<th>{cell}</th>" for cell in head)]
    lines += ["".join(f"<td>{cell}</td>" for cell in row) for row in body]
    return f'<div class="scroll"><table>{"".join(f"<tr>{it}</tr>" for it in lines)}</table></div>'


def _splits(report: Report) -> Iterator[str]:
    if not report.summaries:
        return
    head = [
        "split",
        "images",
        "read",
        "labels",
        "sizes",
        "ignored",
        "of one class",
        "without pixel",
    ]
    yield f"<h2>Splits</h2>{_table([head, *map(_split, report.summaries)])}"
    for it in report.summaries:
        if len(it.sizes) > 1:
            listed = ", ".join(f"{w}×{h}: {n}" for (h, w), n in [*it.sizes.items()][:12])
            more = f" and {len(it.sizes) - 12} more sizes" if len(it.sizes) > 12 else ""
            yield f"<p>Sizes of {_text(it.split)}: {listed}{more}</p>"


def _split(it: Summary) -> list[str]:
    shares: list[Any] = [f"{it.ignored:.2%}", it.single, it.empty] if it.labels else ["–"] * 3
    cells = [it.split, it.images, it.read, it.labels, sizes_text(it), *shares]
    return [_text(cell) for cell in cells]


def _classes(report: Report) -> Iterator[str]:
    its = [it for it in report.summaries if it.labels]
    if report.classes is None or not its:
        return
    rows = [
        ["class", *(_text(f"{it.split} {what}") for it in its for what in ("pixels", "images"))]
    ]
    for number, (name, color) in enumerate(
        zip(report.classes.names, report.classes.colors, strict=True)
    ):
        chip = f'<span class="chip" style="background: rgb{json.dumps(list(color))}"></span>'
        chip = chip.replace("[", "(").replace("]", ")")
        row = [f"{chip}{_text(name)}"]
        for it in its:
            pixels, images = class_cells(it, number)
            share = it.pixels[number] / max(1, sum(it.pixels))
            bar = f'<span class="bar"><i style="width: {share:.1%}"></i></span>'
            row += [f"{pixels}{bar}", images]
        rows.append(row)
    yield f"<h2>Classes</h2><p>Shares of the labeled pixels.</p>{_table(rows)}"
