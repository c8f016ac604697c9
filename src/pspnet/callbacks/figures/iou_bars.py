"""IoU of every class as a bar in the class's color."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pspnet.plotting.style import (
    GRAY,
    INK,
    NORMAL,
    RULE,
    SMALL,
    class_labels,
    figure,
    heading,
    plain,
    save,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 40  # bars in one column
BESIDE = 3  # points between a bar, or the line of the mean, and a value
ROW, COLUMN = 0.19, 4.4  # inches: height of a bar, width of a column with its names
TIGHT, NARROW = 0.135, 2.2  # inches: the same in figures of a given width
GROUP = (154, 160, 166)  # the gray of groups, which have no color of their own

Bar = tuple[str, float | None, tuple[int, int, int]]


def draw_iou_bars(
    iou: Mapping[str, float | None],
    out: Path,
    *,
    colors: Sequence[tuple[int, int, int]],
    title: str,
    groups: Mapping[str, Sequence[str]],
    width: float | None = None,
) -> None:
    """Draw a horizontal bar per class, the highest first, with its value and the mean of all.

    Args:
        iou: fraction, 0 to 1, per class; None where prediction and target hold no pixel of it.
            Such classes are marked absent, stand last and do not count in the mean.
        out: the file, .png, .pdf or .svg.
        colors: RGB, 0 to 255, per class in the same order.
        title: title above the bars.
        groups: classes per group; the mean of each group's present classes is added.
        width: of the figure in inches; None makes it as wide as its columns.
    """
    limit = 28 if width is None else 18
    named = zip(class_labels([*iou], limit=limit), iou.values(), colors, strict=True)
    bars = sorted(named, key=lambda bar: math.inf if bar[1] is None else -bar[1])
    means = [
        (plain(name, limit=limit), group_mean(iou, members), GROUP)
        for name, members in groups.items()
    ]
    mean, count, row = group_mean(iou, list(iou)), math.ceil(len(bars) / LONGEST), ROW
    if width is not None:
        count, row = min(count, max(int(width / NARROW), 1)), TIGHT
    rows, wide = math.ceil(len(bars) / count), width or COLUMN * count
    heights = [rows, len(means)] if means else [rows]
    sheet = figure(wide, row * sum(heights) + 0.85 * len(heights) + (0.3 if title else 0))
    heading(sheet, title)
    grid = sheet.add_gridspec(len(heights), count, height_ratios=heights)
    for number in range(count):
        axes = sheet.add_subplot(grid[0, number])
        column = bars[number * rows : (number + 1) * rows]
        note = "" if number else _summary(bars, mean, brief=width is not None)
        _draw_column(axes, column, mean=mean, rows=rows, note=note)
    if means:
        axes = sheet.add_subplot(grid[1, 0])
        _draw_column(axes, means, mean=mean, rows=len(means), note="Groups of classes")
    if mean is not None:
        _clear(sheet, 100 * mean)
    save(sheet, out)


def group_mean(iou: Mapping[str, float | None], members: Sequence[str]) -> float | None:
    """Return the mean over the members that are present, None if there is none."""
    present = [value for name in members if (value := iou[name]) is not None]
    return sum(present) / len(present) if present else None


def _summary(bars: list[Bar], mean: float | None, *, brief: bool) -> str:
    present = sum(value is not None for _, value, _ in bars)
    if mean is None:
        return f"none of {len(bars)} classes is present"
    if brief:
        return f"mIoU {100 * mean:.2f} % (dashed)"
    counted = f"mIoU {100 * mean:.2f} % (dashed), the mean of {present} classes"
    return counted if present == len(bars) else f"{counted}; {len(bars) - present} absent"


def _draw_column(axes: Axes, bars: list[Bar], *, mean: float | None, rows: int, note: str) -> None:
    from matplotlib.patheffects import withStroke

    style(axes)
    places = range(len(bars))
    lengths = [100 * (value or 0.0) for _, value, _ in bars]
    colors = [tuple(channel / 255 for channel in color) for _, _, color in bars]
    axes.barh(places, lengths, height=0.72, color=colors, ec=INK, lw=0.3, zorder=2)
    axes.set(xlim=(0, 100), ylim=(rows - 0.5, -0.5))
    axes.set_title(note, loc="left", size=NORMAL, color=GRAY, pad=6)
    axes.set_yticks(places, [label for label, _, _ in bars])
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("IoU, %", size=SMALL, color=GRAY)
    axes.tick_params(axis="both", length=0)
    axes.tick_params(axis="x", labelcolor=GRAY)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.grid(axis="x", color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    if mean is not None:
        casing = [withStroke(linewidth=2.1, foreground="white")]  # to be seen on a dark bar, too
        dashes: dict[str, Any] = {"ls": (0, (4, 3)), "path_effects": casing}
        axes.axvline(100 * mean, color=INK, lw=0.9, zorder=3, **dashes)
    for place, (_, value, _), length in zip(places, bars, lengths, strict=True):
        _write_value(axes, value, place=place, length=length)


def _clear(sheet: Figure, mean: float) -> None:
    """Move the values that lie on the line of the mean to its right."""
    from matplotlib.text import Annotation

    sheet.draw_without_rendering()  # lays out the axes
    room = BESIDE * sheet.dpi / 72
    for axes in sheet.axes:
        line = axes.transData.transform((mean, 0))[0]  # in pixels
        for text in axes.texts:
            box = text.get_window_extent()
            if isinstance(text, Annotation) and box.x0 - room < line < box.x1 + room:
                text.xy = (mean, text.xy[1])


def _write_value(axes: Axes, value: float | None, *, place: int, length: float) -> None:
    axes.annotate(
        "absent" if value is None else f"{length:.1f}",
        (length, place),
        xytext=(BESIDE, 0),
        textcoords="offset points",
        va="center_baseline",
        size=SMALL,
        color=GRAY if value is None else INK,
        style="italic" if value is None else "normal",
        bbox={"fc": "white", "ec": "none", "pad": 1.5},  # hides the grid
        zorder=4,
    )
