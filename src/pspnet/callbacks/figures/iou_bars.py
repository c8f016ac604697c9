"""IoU of every class as a bar in the class's color."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pspnet.errors import UserError
from pspnet.plotting import (
    GRAY,
    INK,
    LARGE,
    RULE,
    SMALL,
    panel,
    plain,
    save,
    sheet,
    text_width,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 40  # bars in one column
ROW, SCALE, VALUE = 0.19, 2.4, 0.5  # inches: height of a row, 0 to 100 %, a printed value
EDGE, TOP = 0.15, 0.75  # inches: left and right of everything, above the bars
GROUP = (154, 160, 166)  # the gray of groups, which have no color of their own

Bar = tuple[str, float | None, tuple[int, int, int]]


def iou_bars(
    iou: Mapping[str, float | None],
    out: Path,
    *,
    colors: Sequence[tuple[int, int, int]],
    title: str,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Draws a horizontal bar a class, in the order given, with its value and the mean of all.

    Args:
        iou: fraction, 0 to 1, by class; None (or nan) where prediction and truth hold no pixel of
            it. Such classes are marked absent and do not count in the mean.
        out: the picture, .png, .pdf or .svg.
        colors: RGB, 0 to 255, one a class in the same order.
        title: stands above the bars.
        groups: classes by the name of a group; the mean of each group's present classes is added.

    Raises:
        ValueError: if colors and classes differ in number, an IoU lies outside 0 to 1, or a group
            names an unknown class.
    """
    values = {name: _checked(name, value=value) for name, value in iou.items()}
    if not values or len(colors) != len(values):
        raise UserError(f"{len(colors)} colors for {len(values)} classes; give one for each")
    bars = [(name, values[name], color) for name, color in zip(values, colors, strict=True)]
    means = [(name, group_mean(values, members), GROUP) for name, members in (groups or {}).items()]
    _draw(bars, means, mean=group_mean(values, list(values)), out=out, title=title)


def group_mean(iou: Mapping[str, float | None], members: Sequence[str]) -> float | None:
    """Mean over the members that are present, None if there is none."""
    unknown = sorted(set(members) - set(iou))
    if unknown:
        raise UserError(f"group members {unknown} are not among the classes")
    present = [value for name in members if (value := iou[name]) is not None]
    return sum(present) / len(present) if present else None


def _checked(name: str, *, value: float | None) -> float | None:
    if value is None or math.isnan(value):
        return None
    if not -1e-6 <= value <= 1 + 1e-6:
        raise UserError(f"IoU of {name!r} is {value:g}; give fractions, 0 to 1")
    return min(max(float(value), 0.0), 1.0)


def _draw(bars: list[Bar], means: list[Bar], *, mean: float | None, out: Path, title: str) -> None:
    count = math.ceil(len(bars) / LONGEST)
    rows = math.ceil(len(bars) / count)
    columns = [bars[start : start + rows] for start in range(0, len(bars), rows)]
    gutters = [_gutter(column) for column in columns]
    gutters[0] = max(gutters[0], _gutter(means))
    foot = TOP + rows * ROW + 0.35
    width = max(sum(gutters) + len(columns) * (SCALE + VALUE), text_width(title, size=LARGE) * 1.2)
    below = 0.3 + len(means) * ROW + 0.3 if means else 0.0
    figure = sheet(EDGE + width + EDGE, height=foot + below)
    write(figure, title, left=EDGE, top=0.12, size=LARGE)
    write(figure, _summary(bars, mean=mean), left=EDGE, top=0.36)
    left = EDGE
    for column, gutter in zip(columns, gutters, strict=True):
        high = len(column) * ROW
        axes = panel(figure, left=left + gutter, top=TOP, width=SCALE, height=high)
        _column(axes, column, mean=mean)
        left += gutter + SCALE + VALUE
    if means:
        high = len(means) * ROW
        write(figure, "Groups", left=EDGE, top=foot, size=LARGE)
        axes = panel(figure, left=EDGE + gutters[0], top=foot + 0.3, width=SCALE, height=high)
        _column(axes, means, mean=mean)
    save(figure, out)


def _gutter(bars: list[Bar]) -> float:
    """Inches that the names to the left of a column need."""
    return max((text_width(_name(bar), size=SMALL) for bar in bars), default=0.0) + 0.1


def _summary(bars: list[Bar], *, mean: float | None) -> str:
    present = sum(value is not None for _, value, _ in bars)
    if mean is None:
        return f"none of {len(bars)} classes is present"
    counted = f"mIoU {100 * mean:.2f} %, the mean of {present} classes"
    return counted if present == len(bars) else f"{counted}; {len(bars) - present} absent"


def _column(axes: Axes, bars: list[Bar], *, mean: float | None) -> None:
    places = range(len(bars))
    lengths = [100 * (value or 0.0) for _, value, _ in bars]
    colors = [tuple(channel / 255 for channel in color) for _, _, color in bars]
    axes.barh(places, lengths, height=0.72, color=colors, ec=INK, lw=0.3, zorder=2)
    axes.set(xlim=(0, 100), ylim=(len(bars) - 0.5, -0.5))
    axes.set_yticks(places, [_name(bar) for bar in bars])
    axes.set_xticks(range(0, 101, 20))
    axes.tick_params(axis="both", length=0)
    axes.tick_params(axis="x", labelcolor=GRAY)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.grid(axis="x", color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    if mean is not None:
        axes.axvline(100 * mean, color=INK, lw=0.9, ls=(0, (4, 3)), zorder=3)
        axes.annotate(
            "mean",
            (100 * mean, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            size=SMALL - 1,
            color=GRAY,
        )
    for place, (_, value, _), length in zip(places, bars, lengths, strict=True):
        _value(axes, value, place=place, length=length)


def _value(axes: Axes, value: float | None, *, place: int, length: float) -> None:
    axes.annotate(
        "absent" if value is None else f"{length:.1f}",
        (length, place),
        xytext=(3, 0),
        textcoords="offset points",
        va="center_baseline",
        size=SMALL,
        color=GRAY if value is None else INK,
        style="italic" if value is None else "normal",
        bbox={"fc": "white", "ec": "none", "pad": 1.5},  # hides the line of the mean
        zorder=4,
    )


def _name(bar: Bar) -> str:
    return plain(bar[0], limit=28)
