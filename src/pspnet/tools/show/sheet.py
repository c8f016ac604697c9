"""A sheet of training crops beside their masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pspnet.callbacks.figures.prediction_grid import striped
from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.plotting.style import (
    GRAY,
    SMALL,
    Entry,
    class_labels,
    figure,
    heading,
    legend,
    legend_rows,
    plain,
    save,
    style,
)
from pspnet.tools.show.crops import Crop

CELL = 1.7  # inches per picture
COLUMNS = 4  # crops per row, fewer if they are wide


def draw_crops(crops: Sequence[Crop], out: Path, *, classes: Classes, title: str) -> None:
    """Draw each crop with its mask beside it, names below, and a legend of the classes that occur.

    Ignored pixels, such as padding, are striped.

    Args:
        crops: crops of one size.
        out: the file, .png, .pdf or .svg.
        classes: names and colors by train id.
        title: the line above.
    """
    entries = _entries(crops, classes)
    height, width = crops[0].label.shape
    columns = min(COLUMNS if width <= 1.5 * height else COLUMNS // 2, len(crops))
    rows = math.ceil(len(crops) / columns)
    cell = CELL * (1 if columns == COLUMNS else 2)
    sheet_width = max(2 * cell * columns, 2 * CELL * 2)
    below = 0.19 * legend_rows(entries, width=sheet_width)
    sheet = figure(sheet_width, rows * (cell * height / width + 0.25) + 0.45 + below)
    grid = sheet.subplots(rows, 2 * columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for index, crop in enumerate(crops):
        pair = grid[2 * index : 2 * index + 2]
        for axes, pixels in zip(pair, (crop.picture, _mask(crop.label, classes)), strict=True):
            style(axes)
            axes.set_axis_on()
            axes.set(xticks=[], yticks=[])
            axes.imshow(pixels, interpolation="auto", interpolation_stage="rgba")
        pair[0].set_xlabel(plain(crop.name, limit=32), size=SMALL, color=GRAY, labelpad=2)
        ignored = (crop.label == IGNORE).mean()
        if ignored:
            pair[1].set_xlabel(f"{100 * ignored:.1f} % ignored", size=SMALL, color=GRAY, labelpad=2)
    heading(sheet, title)
    legend(sheet, entries)
    save(sheet, out)


def _mask(label: np.ndarray, classes: Classes) -> np.ndarray:
    """Return the colors of a label, stripes where it is ignored; (H, W, 3) uint8."""
    colors: np.ndarray = striped(classes.palette()[label], label == IGNORE)
    return colors


def _entries(crops: Sequence[Crop], classes: Classes) -> list[Entry]:
    palette, labels = classes.palette(), class_labels(classes.names)
    present = sorted({int(value) for crop in crops for value in np.unique(crop.label)})
    entries = [Entry(labels[i], tuple(palette[i].tolist())) for i in present if i != IGNORE]
    if IGNORE in present:
        entries.append(Entry("ignored", (255, 255, 255), striped=True))
    return entries
