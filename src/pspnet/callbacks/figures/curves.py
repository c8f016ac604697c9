"""Loss, mIoU and learning rates of a run, from the CSV file that Lightning's CSVLogger writes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pspnet.plotting.style import (
    GRAY,
    INK,
    NORMAL,
    RULE,
    SMALL,
    figure,
    heading,
    plain,
    save,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Series = tuple[np.ndarray, np.ndarray]  # steps done, ascending, and values; (n,), n >= 1

TRAIN, VAL, MAIN, AUXILIARY = "#1a73e8", "#d9480f", "#12805c", "#9334a8"
COLORS = (TRAIN, VAL, MAIN, AUXILIARY, "#b08900", "#5f6368")
PAIR = (("train/miou", "train, augmented crops", TRAIN), ("val/miou", "validation", VAL))
WIDE = 7.0  # inches from which the panels stand side by side
NOT_RATES = ("-momentum", "-weight_decay")  # LearningRateMonitor's names for these also start lr-


def draw_curves(
    metrics_csv: Path, out: Path, *, title: str = "", width: float | None = None
) -> None:
    """Draw losses, mIoU and learning rates of a run over its steps.

    Reads the columns step, train/loss, train/loss_main, train/loss_auxiliary, val/loss, train/miou,
    val/miou (0 to 1) and every lr-…; each of them but step may be absent, and cells may be empty.
    Training losses are smoothed by a running mean over 1/25 of the run, before the raw main loss.
    With an auxiliary loss, the main loss is drawn and not the sum: it is what val/loss is of.

    Args:
        metrics_csv: the log.
        out: the file, .png, .pdf or .svg.
        title: stands above the panels.
        width: of the figure in inches; None is the size of a screen.
    """
    series = read(metrics_csv)
    rows, columns = (3, 1) if width is not None and width < WIDE else (1, 3)
    size = (12.6, 3.4) if width is None else (width, 1.9 * rows + (0.5 if rows == 1 else 0))
    sheet = figure(size[0], size[1] + (0.3 if title else 0))
    heading(sheet, title)
    losses, miou, rates = panels = sheet.subplots(rows, columns)
    last = max([1.0, *(steps[-1] for steps, _ in series.values())])
    for axes in panels:
        style(axes)
        axes.set_xlim(-0.02 * last, 1.03 * last)
    _draw_losses(losses, series)
    _draw_miou(miou, series)
    _draw_rates(rates, series)
    save(sheet, out)


def read(metrics_csv: Path) -> dict[str, Series]:
    """Return every column's values by ascending step; the last one at a step counts.

    Steps are numbered from 1, as on the terminal: a value is that after so many steps. Loggers
    number them from 0.
    """
    columns: dict[str, dict[float, float]] = {}
    with Path(metrics_csv).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, cell in row.items():
                if cell and row["step"] and None not in row.values():  # a line cut by a kill
                    columns.setdefault(name, {})[float(row["step"]) + 1] = float(cell)
    return {name: _by_step(values) for name, values in columns.items()}


def _by_step(values: dict[float, float]) -> Series:
    pairs = np.array(sorted(values.items()))  # (n, 2)
    return pairs[:, 0], pairs[:, 1]


def running_mean(values: np.ndarray, *, reach: int) -> np.ndarray:
    """Return means of each value and up to `reach` neighbors per side, fewer at the ends; (n,)."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    first, last = np.maximum(place - reach, 0), np.minimum(place + reach + 1, len(values))
    means: np.ndarray = (total[last] - total[first]) / (last - first)  # (n,)
    return means


def _draw_losses(axes: Axes, series: dict[str, Series]) -> None:
    main = "train/loss_main" if "train/loss_main" in series else "train/loss"
    of = ", main loss" if "train/loss_auxiliary" in series else ""
    lines = (
        (main, f"train{of}", TRAIN),
        ("val/loss", f"validation{of}", VAL),
        ("train/loss_auxiliary", "train, auxiliary loss", AUXILIARY),
    )
    infinite = 0
    for name, label, color in lines:
        steps, values = series.get(name, (np.zeros(0), np.zeros(0)))
        finite = np.isfinite(values)
        infinite += int((~finite).sum())
        steps, values = steps[finite], values[finite]
        if not len(values):
            continue
        if name == main and len(values) > 20:
            axes.plot(steps, values, color=color, lw=0.7, alpha=0.3, zorder=1)
        if name != "val/loss":
            values = running_mean(values, reach=len(values) // 50)
        width = 1.0 if name == "train/loss_auxiliary" else 1.6
        _draw_line(axes, (steps, values), label=label, color=color, width=width)
    scale = _set_scale(axes)
    note = f"{infinite} values are not finite" if infinite else ""
    _finish(axes, title=f"Loss{scale}", missing="no loss logged", note=note)


def _set_scale(axes: Axes) -> str:
    """Draw losses on a logarithmic scale if all are above 0; return what the title says of it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    values = np.concatenate([np.zeros(0), *(np.asarray(it.get_ydata()) for it in axes.lines)])
    if not len(values) or values.min() <= 0:
        return ""
    axes.set_yscale("log")
    ratio = values.max() / values.min()
    subs = (1.0, 2.0, 3.0, 5.0, 7.0) if ratio < 30 else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(MaxNLocator(5) if ratio < 3 else LogLocator(subs=subs))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    return " (log scale)"


def _draw_miou(axes: Axes, series: dict[str, Series]) -> None:
    note = ""
    for name, label, color in PAIR:
        steps, values = series.get(name, (np.zeros(0), np.zeros(0)))
        finite = np.isfinite(values)
        if not finite.any():
            continue
        steps, values = steps[finite], 100 * values[finite]
        _draw_line(axes, (steps, values), label=label, color=color)
        if name != "val/miou":
            continue
        best = int(values.argmax())
        star: dict[str, Any] = {"marker": "*", "ms": 11, "mfc": "#fbbc04", "mec": INK, "mew": 0.6}
        axes.plot(steps[best], values[best], clip_on=False, **star)
        note = f"★ best {values[best]:.2f} % at step {steps[best]:,.0f}"
    _finish(axes, title="mIoU (%)", missing="no mIoU logged", note=note)


def _draw_rates(axes: Axes, series: dict[str, Series]) -> None:
    together: dict[bytes, list[str]] = {}  # parameter groups with the same rates share a line
    for name, line in series.items():
        if name.startswith("lr-") and not name.endswith(NOT_RATES):
            together.setdefault(np.stack(line).tobytes(), []).append(name)
    for number, members in enumerate(together.values()):
        label = ", ".join(name.removeprefix("lr-").rpartition("/")[2] for name in members)
        color = COLORS[number % len(COLORS)]
        _draw_line(axes, series[members[0]], label=plain(label, limit=44), color=color)
    if together:
        axes.set_ylim(bottom=0)
    _finish(axes, title="Learning rate", missing="no lr-… logged")


def _draw_line(axes: Axes, line: Series, *, label: str, color: str, width: float = 1.6) -> None:
    """Draw one curve; few values get markers, since a single one would leave no line to see."""
    steps, values = line
    mark = "o" if len(steps) <= 40 else None
    axes.plot(steps, values, label=label, color=color, lw=width, marker=mark, ms=1.6 + width)


def _finish(axes: Axes, *, title: str, missing: str, note: str = "") -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_title(title, loc="left", size=NORMAL + 1, color=INK, weight="bold")
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
