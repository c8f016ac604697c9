"""The report of a sweep: tables with deviations, costs and the paper's results, two figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from pspnet.files.writing import write_atomic
from pspnet.tools.ablation.collect import collect
from pspnet.tools.ablation.figures.pareto import Point, draw_pareto
from pspnet.tools.ablation.figures.settings import Best, Panel, draw_settings
from pspnet.tools.ablation.paper_results import paper_results
from pspnet.tools.ablation.report_latex import latex_table
from pspnet.tools.ablation.report_text import report_text
from pspnet.tools.ablation.statistics.paired import Difference, Summary, against_best
from pspnet.tools.ablation.tables import ClassScore, Row, class_tables, main_table, marks

Cells = dict[str, object]


def write_report(
    folder: Path, *, rows: Sequence[str] | None = None, seeds: Sequence[int] | None = None
) -> Path:
    """Write report.md, .csv and .tex, classes.csv, settings.png, pareto.png; return report.md.

    Runs that failed, have not ended or cannot be read are listed as such. The figures need a
    finished run, pareto.png also its costs.

    Args:
        folder: …/SWEEP/DATA, which holds the runs and gets the report.
        rows: the settings in order; None takes those on disk by name, `baseline` first.
        seeds: the seeds that each setting is meant to have; None takes those on disk.

    Raises:
        UserError: if the folder holds no run.
    """
    found = collect(folder, rows=rows)
    meant = found.seeds() if seeds is None else list(seeds)
    table = main_table(found, paper=paper_results(folder.parent.name), seeds=meant)
    groups, classes = class_tables(found, "group"), class_tables(found, "class")
    title = f"{folder.parent.name} on {folder.name}"
    figures = _draw(folder, table, groups, title=title, level=found.level)
    _write_csv(folder / "report.csv", _main_cells(table))
    if groups or classes:
        cells = [*_class_cells("group", groups), *_class_cells("class", classes)]
        _write_csv(folder / "classes.csv", cells)
    latex = latex_table(table, title=title)
    write_atomic(folder / "report.tex", latex.encode())
    text = report_text(
        found, table, groups=groups, classes=classes, title=title, seeds=meant, figures=figures
    )
    write_atomic(folder / "report.md", text.encode())
    return folder / "report.md"


def _draw(
    folder: Path,
    table: list[Row],
    groups: Mapping[str, list[ClassScore]],
    *,
    title: str,
    level: float,
) -> dict[str, str]:
    """Draw the figures that there are scores for; return their captions by file name."""
    ran = [place for place, row in enumerate(table) if row.miou]
    if not ran:
        return {}
    words = marks(table, every=True)
    best, to_best = against_best([row.scores for row in table], level=level)
    panels = [
        Panel(
            "mIoU, %",
            [table[p].scores for p in ran],
            [table[p].difference for p in ran],
            None if best is None else Best(ran.index(best), [to_best[p] for p in ran]),
        ),
        *(
            Panel(f"{group}, %", [row[p].scores for p in ran], [row[p].difference for p in ran])
            for group, row in groups.items()
        ),
    ]
    draw_settings(
        panels,
        folder / "settings.png",
        title=title,
        settings=[table[p].setting.name for p in ran],
        reference=table[0].setting.name,
        marks=[words[p] for p in ran],
    )
    figures = {"settings.png": "Scores by setting, and the differences that decide the marks"}
    points = [
        Point(row.setting.name, row.price.gflop, (*row.scores.values(),), bool(row.front))
        for row in table
        if row.miou is not None and row.price.gflop is not None
    ]
    if points:
        cost = "GFLOP, forward pass of one image"
        draw_pareto(points, folder / "pareto.png", title=title, cost=cost)
        figures["pareto.png"] = "mIoU against GFLOP"
    return figures


def _main_cells(table: list[Row]) -> list[Cells]:
    return [
        {
            "setting": row.setting.name,
            **_summary("miou", row.miou),
            **_summary("pixel_accuracy", row.accuracy),
            **_summary("train_miou", row.train),
            "seeds": row.miou.count if row.miou else 0,
            **_difference(row.difference),
            "mark": mark,
            "front": row.front,
            "parameters_m": row.price.parameters,
            "parameters_inference_m": row.price.parameters_inference,
            "gflop": row.price.gflop,
            "memory_gib": row.price.memory,
            "images_per_second": row.price.rate,
            "paper_miou": row.paper.miou if row.paper else None,
            "paper_pixel_accuracy": row.paper.accuracy if row.paper else None,
            "paper_difference": row.paper_difference,
            "remarks": "; ".join(row.remarks),
        }
        for row, mark in zip(table, marks(table), strict=True)
    ]


def _class_cells(kind: str, table: Mapping[str, list[ClassScore]]) -> list[Cells]:
    return [
        {
            "kind": kind,
            "name": name,
            "setting": score.setting,
            **_summary("iou", score.iou),
            "seeds": score.iou.count if score.iou else 0,
            **_difference(score.difference),
        }
        for name, scores in table.items()
        for score in scores
    ]


def _summary(name: str, of: Summary | None) -> Cells:
    return {name: of.mean if of else None, f"{name}_deviation": of.deviation if of else None}


def _difference(of: Difference | None) -> Cells:
    return {
        "difference": of.mean if of else None,
        "difference_low": of.low if of else None,
        "difference_high": of.high if of else None,
        "pairs": of.count if of else 0,
    }


def _write_csv(path: Path, rows: list[Cells]) -> None:
    write_atomic(path, pd.DataFrame(rows).to_csv(index=False).encode())
