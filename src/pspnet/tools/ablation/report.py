"""What a sweep has found so far: a table with spreads, costs and the paper's figures, and plots."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from pspnet.errors import write_atomic
from pspnet.tools.ablation.collect import collect
from pspnet.tools.ablation.markdown import document, picture
from pspnet.tools.ablation.paper import published
from pspnet.tools.ablation.pareto_figure import Point, scores_by_cost
from pspnet.tools.ablation.settings_figure import setting_scores
from pspnet.tools.ablation.statistics import Difference, Spread
from pspnet.tools.ablation.table import Line, Share, lines, marks, parts

Cells = dict[str, object]


def write_report(
    sweep_name: str,
    *,
    data: str,
    logs: Path = Path("logs/ablation"),
    rows: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> Path:
    """Writes report.md, report.csv, classes.csv, settings.png and pareto.png of what is on disk.

    Returns report.md's path. Runs that failed, have not ended or cannot be read are said to be so;
    the pictures need a finished run, pareto.png also its costs.

    Args:
        sweep_name: of the sweep.
        data: that it ran on; the files lie in logs/SWEEP/DATA, and go there.
        logs: folder of all sweeps.
        rows: the settings in order; None takes those on disk, `baseline` first, else by name.
        seeds: that each setting is meant to have; None takes those on disk.

    Raises:
        FileNotFoundError: if nothing of the sweep is there.
    """
    folder = Path(logs) / sweep_name / data
    found = collect(folder, rows=rows)
    meant = found.seeds() if seeds is None else list(seeds)
    table = lines(found, paper=published(sweep_name), seeds=meant)
    groups, classes = parts(found, "group"), parts(found, "class")
    title = f"{sweep_name} on {data}"
    pictures = _draw(folder, table, groups, title=title)
    _write_csv(folder / "report.csv", _rows(table))
    if groups or classes:
        _write_csv(folder / "classes.csv", [*_shares("group", groups), *_shares("class", classes)])
    text = document(
        found, table, groups=groups, classes=classes, title=title, seeds=meant, pictures=pictures
    )
    write_atomic(folder / "report.md", text.encode())
    return folder / "report.md"


def _draw(
    folder: Path, table: list[Line], groups: Mapping[str, list[Share]], *, title: str
) -> list[str]:
    """Draws what there is something to draw of; the Markdown of each picture drawn."""
    if not any(line.miou for line in table):
        return []
    panels = {
        "mIoU, %": {line.setting.name: line.scores for line in table},
        **{f"{group}, %": {s.setting: s.scores for s in row} for group, row in groups.items()},
    }
    words = {line.setting.name: m for line, m in zip(table, marks(table), strict=True)}
    setting_scores(panels, folder / "settings.png", title=f"mIoU by setting: {title}", marks=words)
    drawn = [picture("Settings against mIoU", "settings.png")]
    points = [
        Point(line.setting.name, line.price.gflop, (*line.scores.values(),), bool(line.front))
        for line in table
        if line.miou is not None and line.price.gflop is not None
    ]
    if points:
        costs = "GFLOP, one image, forward"
        scores_by_cost(points, folder / "pareto.png", title=f"mIoU and cost: {title}", cost=costs)
        drawn.append(picture("mIoU against GFLOP", "pareto.png"))
    return drawn


def _rows(table: list[Line]) -> list[Cells]:
    rows = []
    for line, mark in zip(table, marks(table), strict=True):
        price, paper = line.price, line.paper
        row: Cells = {
            "setting": line.setting.name,
            **_spread("miou", line.miou),
            **_spread("pixel_accuracy", line.accuracy),
            "seeds": line.miou.count if line.miou else 0,
            **_difference(line.difference),
            "mark": mark,
            "front": line.front,
            "parameters_m": price.parameters,
            "parameters_inference_m": price.parameters_inference,
            "gflop": price.gflop,
            "memory_gib": price.memory,
            "images_per_second": price.rate,
            "paper_miou": paper.miou if paper else None,
            "paper_pixel_accuracy": paper.accuracy if paper else None,
            "paper_difference": line.paper_difference,
            "remarks": "; ".join(line.remarks),
        }
        rows.append(row)
    return rows


def _shares(kind: str, table: Mapping[str, list[Share]]) -> list[Cells]:
    return [
        {
            "kind": kind,
            "name": name,
            "setting": share.setting,
            **_spread("iou", share.iou),
            "seeds": share.iou.count if share.iou else 0,
            **_difference(share.difference),
        }
        for name, shares in table.items()
        for share in shares
    ]


def _spread(name: str, of: Spread | None) -> Cells:
    return {name: of.mean if of else None, f"{name}_deviation": of.deviation if of else None}


def _difference(of: Difference | None) -> Cells:
    """Empty cells for a difference that there is none of."""
    given = of or Difference(mean=0.0, low=None, high=None, p=None, count=0)
    return {
        "difference": given.mean if of else None,
        "difference_low": given.low,
        "difference_high": given.high,
        "pairs": given.count,
    }


def _write_csv(path: Path, rows: list[Cells]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=[*rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue().encode())
