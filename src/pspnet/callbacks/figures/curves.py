"""Loss, mIoU and learning rates of a run, from the CSV file that Lightning's CSVLogger writes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pspnet.errors import UserError
from pspnet.plotting import GRAY, INK, LARGE, NORMAL, RULE, SMALL, panel, plain, save, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Series = tuple[np.ndarray, np.ndarray]  # steps ascending, values; both (n,), n >= 1

TRAIN, VAL, MAIN, AUXILIARY = "#1a73e8", "#d9480f", "#12805c", "#9334a8"
COLORS = (TRAIN, VAL, MAIN, AUXILIARY, "#b08900", "#5f6368")
NOT_RATES = (
    "-momentum",
    "-weight_decay",
)  # LearningRateMonitor's names for these begin with lr- too


def curves(metrics_csv: Path, out: Path) -> None:
    """Draws a run against the step: losses, mIoU on the validation set, learning rates.

    Reads the columns step, train/loss, train/loss_main, train/loss_auxiliary, val/loss, val/miou
    (0 to 1) and every lr-…; each of them but step may be absent, and cells may be empty. Training
    losses are smoothed by a running mean over 1/25 of the run, the raw train/loss stands behind.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file holds no values, no column step, a cell that is no number, or an
            mIoU above 1.
    """
    series = read(metrics_csv)
    figure = sheet(12.6, height=3.5)
    losses, miou, rates = (
        panel(figure, left=0.55 + 4.2 * column, top=0.45, width=3.5, height=2.55)
        for column in range(3)
    )
    last = max([1.0, *(steps[-1] for steps, _ in series.values())])
    for axes in (losses, miou, rates):
        axes.set_xlim(-0.02 * last, 1.03 * last)
    _losses(losses, series)
    _miou(miou, series.get("val/miou"), source=metrics_csv)
    _rates(rates, series)
    save(figure, out)


def read(metrics_csv: Path) -> dict[str, Series]:
    """Every column's values by ascending step; of values at the same step the last counts.

    A last line that was cut off in writing is left out. Raises as `curves` does.
    """
    if not Path(metrics_csv).is_file():
        raise UserError(f"{metrics_csv}: no such file; CSVLogger writes it during a run")
    with Path(metrics_csv).open(newline="", encoding="utf-8") as file:
        table = [row for row in csv.reader(file) if row]
    if table and len(table[-1]) < len(table[0]):
        table.pop()
    if len(table) < 2:
        raise UserError(f"{metrics_csv}: holds no values; the run ended before its first log")
    if "step" not in table[0]:
        raise UserError(f"{metrics_csv}: no column step among {table[0]}")
    columns: dict[str, dict[float, float]] = {name: {} for name in table[0]}
    for number, row in enumerate(table[1:], start=2):
        cells = {
            name: _number(cell, where=f"{metrics_csv}, row {number}, column {name}")
            for name, cell in zip(table[0], row, strict=False)
            if cell
        }
        for name, value in cells.items():
            if "step" in cells:
                columns[name][cells["step"]] = value
    return {name: _by_step(values) for name, values in columns.items() if values}


def _number(cell: str, *, where: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise UserError(f"{where}: {cell!r} is no number") from None


def _by_step(values: dict[float, float]) -> Series:
    pairs = np.array(sorted(values.items()))  # (n, 2)
    return pairs[:, 0], pairs[:, 1]


def running_mean(values: np.ndarray, *, reach: int) -> np.ndarray:
    """Mean of each value and up to `reach` neighbors on both sides, fewer at the ends; (n,)."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    first, last = np.maximum(place - reach, 0), np.minimum(place + reach + 1, len(values))
    means: np.ndarray = (total[last] - total[first]) / (last - first)  # (n,)
    return means


def _losses(axes: Axes, series: dict[str, Series]) -> None:
    lines = (
        ("train/loss", "train", TRAIN, 1.6),
        ("train/loss_main", "train, main", MAIN, 1.0),
        ("train/loss_auxiliary", "train, auxiliary", AUXILIARY, 1.0),
        ("val/loss", "val", VAL, 1.6),
    )
    broken = 0
    for name, label, color, width in lines:
        if name not in series:
            continue
        steps, values = series[name]
        sound = np.isfinite(values)
        broken += int((~sound).sum())
        steps, values = steps[sound], values[sound]
        if name == "train/loss" and len(values) > 20:
            axes.plot(steps, values, color=color, lw=0.7, alpha=0.3, zorder=1)
        if name != "val/loss":
            values = running_mean(values, reach=len(values) // 50)
        _line(axes, (steps, values), label=label, color=color, width=width)
    note = f"{broken} values are not finite" if broken else ""
    _finish(axes, title="Loss", missing="no loss logged", note=note)


def _miou(axes: Axes, line: Series | None, *, source: Path) -> None:
    note = ""
    sound = np.isfinite(line[1]) if line else np.zeros(0, bool)
    if line and sound.any():
        steps, values = line[0][sound], 100 * line[1][sound]
        if values.max() > 100.1:
            raise UserError(f"{source}: val/miou of {values.max() / 100:g}; log fractions, 0 to 1")
        _line(axes, (steps, values), label="", color=VAL)
        best = int(values.argmax())
        axes.plot(steps[best], values[best], marker="*", ms=11, mfc="#fbbc04", mec=INK, mew=0.6)
        note = f"★ best {values[best]:.2f} % at step {steps[best]:,.0f}"
    _finish(axes, title="mIoU, val (%)", missing="no val/miou logged", note=note)


def _rates(axes: Axes, series: dict[str, Series]) -> None:
    together: dict[bytes, list[str]] = {}  # parameter groups with the same rates share a line
    for name, line in series.items():
        if name.startswith("lr-") and not name.endswith(NOT_RATES):
            together.setdefault(np.stack(line).tobytes(), []).append(name)
    for number, members in enumerate(together.values()):
        label = ", ".join(name.removeprefix("lr-").rpartition("/")[2] for name in members)
        color = COLORS[number % len(COLORS)]
        _line(axes, series[members[0]], label=plain(label, limit=44), color=color)
    if together:
        axes.set_ylim(bottom=0)
    _finish(axes, title="Learning rate", missing="no lr-… logged")


def _line(axes: Axes, line: Series, *, label: str, color: str, width: float = 1.6) -> None:
    """One curve; few values are marked, since a single one would leave no line to see."""
    steps, values = line
    mark = "o" if len(steps) <= 40 else None
    axes.plot(steps, values, label=label, color=color, lw=width, marker=mark, ms=1.6 + width)


def _finish(axes: Axes, *, title: str, missing: str, note: str = "") -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_title(title, loc="left", size=LARGE, color=INK, weight="bold")
    axes.set_title(note, loc="right", size=SMALL, color=GRAY)
    if not axes.lines:
        axes.set(xticks=[], yticks=[])
        middle = axes.transAxes
        axes.text(0.5, 0.5, missing, transform=middle, ha="center", size=NORMAL, color=GRAY)
        return
    axes.set_xlabel("step", size=SMALL, color=GRAY)
    axes.grid(color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    thousands = axes.get_xlim()[1] >= 10_000
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands if thousands else _plain_step))
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=SMALL, labelcolor=INK, framealpha=0.85, edgecolor="none", loc="best")


def _thousands(step: float, _: int | None) -> str:
    return f"{step / 1000:g}k" if step else "0"


def _plain_step(step: float, _: int | None) -> str:
    return f"{step:g}"
