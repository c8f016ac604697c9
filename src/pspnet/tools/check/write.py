"""The report on disk: check.json and one page."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pspnet.files.writing import make_folder, write_atomic
from pspnet.tools.check.page import page
from pspnet.tools.check.report import Report


def write_report(report: Report, folder: Path) -> Path:
    """Write check.json and index.html, over older ones, and return the page's path.

    Raises:
        NotWritten: if the system refuses.
    """
    make_folder(folder)
    text = json.dumps(plain(report), indent=1, ensure_ascii=True)
    write_atomic(folder / "check.json", text.encode())
    write_atomic(folder / "index.html", page(report).encode("utf-8", "backslashreplace"))
    return folder / "index.html"


def plain(report: Report) -> dict[str, Any]:
    """Return the report as JSON takes it."""
    classes = [] if report.classes is None else list(report.classes.names)
    return {
        "source": type(report.source).__name__,
        "root": str(getattr(report.source, "root", "")),
        "origin": report.source.origin,
        "classes": classes,
        "splits": {it.split: _summary(it) for it in report.summaries},
        "findings": [
            {
                "level": it.level,
                "kind": it.kind,
                "text": it.text,
                "samples": [{"split": one.split, "name": one.sample.name} for one in it.seen],
            }
            for it in report.findings
        ],
        "proposals": report.proposals,
        "seconds": round(report.seconds, 2),
    }


def _summary(it: Any) -> dict[str, Any]:
    sizes = {f"{width}x{height}": count for (height, width), count in it.sizes.items()}
    return {**asdict(it), "sizes": sizes}
