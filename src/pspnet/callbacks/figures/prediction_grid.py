"""Images beside target, prediction and errors, with a legend of the classes that occur."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pspnet.plotting.style import (
    GRAY,
    INK,
    NORMAL,
    SMALL,
    Entry,
    class_labels,
    figure,
    legend,
    legend_rows,
    save,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Row = tuple[np.ndarray, np.ndarray, np.ndarray]  # image, target, prediction

WRONG = (226, 38, 46)
WHITE = (255, 255, 255)
TITLES = ("Image", "Target", "Prediction", "Errors")
CELL = 3.1  # inches
TALLEST = 1.0  # the largest height of a cell, in widths


def draw_prediction_grid(
    rows: Sequence[Row], out: Path, *, palette: np.ndarray, names: Sequence[str], ignore: int = 255
) -> None:
    """Draw a row per image: the image, target, prediction, and where the two differ.

    In the errors, wrong pixels are red on the gray image and ignored ones are striped; the share of
    wrong pixels among the counted ones stands below. Ignored pixels are white in the target.

    Args:
        rows: image (H, W, 3) uint8 RGB, target (H, W) uint8, prediction (H, W) uint8; sizes may
            differ from row to row.
        out: the file, .png, .pdf or .svg.
        palette: RGB by label value, (256, 3) uint8.
        names: the C classes; the legend has those that occur.
        ignore: the target's value of pixels that do not count.
    """
    entries = legend_entries(rows, palette=palette, names=names, ignore=ignore)
    heights = [min(image.shape[0] / image.shape[1], TALLEST) for image, _, _ in rows]
    width = len(TITLES) * CELL
    below = 0.19 * legend_rows(entries, width=width)
    height = CELL * sum(heights) + 0.22 * len(rows) + 0.4 + below
    sheet = figure(width, height)
    grid = sheet.subplots(len(rows), len(TITLES), squeeze=False, height_ratios=heights)
    for axes, row in zip(grid, rows, strict=True):
        _draw_row(axes, row, palette=palette, ignore=ignore)
    for axes, title in zip(grid[0], TITLES, strict=True):
        axes.set_title(title, size=NORMAL + 1, color=INK, weight="bold", pad=4)
    legend(sheet, entries)
    save(sheet, out)


def errors(
    image: np.ndarray, *, target: np.ndarray, prediction: np.ndarray, ignore: int
) -> np.ndarray:
    """Return the image in pale gray, wrong pixels red, ignored ones striped; (H, W, 3) uint8."""
    luma = image @ np.array([0.299, 0.587, 0.114])  # (H, W), ITU-R BT.601
    pale = (110 + 0.5 * luma).astype(np.uint8)  # 110 to 237: red stands out on all of it
    shown = np.repeat(pale[..., None], 3, axis=2)  # (H, W, 3)
    shown[prediction != target] = WRONG
    ignored = target == ignore
    shown[ignored] = stripes(*target.shape)[ignored][:, None]
    return shown


def stripes(height: int, width: int) -> np.ndarray:
    """Return gray diagonal stripes on white, some 40 per longer side; (height, width) uint8."""
    period = max(max(height, width) // 40, 4)
    diagonal = np.add.outer(np.arange(height), np.arange(width)) % period
    return np.where(diagonal < period // 4, 190, 255).astype(np.uint8)


def legend_entries(
    rows: Sequence[Row], *, palette: np.ndarray, names: Sequence[str], ignore: int
) -> list[Entry]:
    """Return the classes that occur, in their order, then the meaning of red and stripes."""
    present = {value for _, *labels in rows for label in labels for value in np.unique(label)}
    labels = class_labels(names)
    entries = [
        Entry(labels[value], tuple(palette[value].tolist())) for value in sorted(present - {ignore})
    ]
    entries.append(Entry("wrong pixel", WRONG))
    if ignore in present:
        entries.append(Entry("ignored pixel", WHITE, striped=True))
    return entries


def _draw_row(axes: Sequence[Axes], row: Row, *, palette: np.ndarray, ignore: int) -> None:
    image, target, prediction = row
    colors = np.where((target == ignore)[..., None], np.uint8(255), palette[target])  # (H, W, 3)
    wrong = errors(image, target=target, prediction=prediction, ignore=ignore)
    for one, pixels in zip(axes, (image, colors, palette[prediction], wrong), strict=True):
        style(one)
        one.set(xticks=[], yticks=[])
        one.imshow(pixels, interpolation="auto", interpolation_stage="rgba")
    note = _wrong_share(target, prediction, ignore=ignore)
    axes[-1].set_xlabel(note, size=SMALL, color=GRAY, labelpad=2)


def _wrong_share(target: np.ndarray, prediction: np.ndarray, *, ignore: int) -> str:
    counted = target != ignore
    if not counted.any():
        return "every pixel is ignored"
    return f"{100 * (prediction != target)[counted].mean():.1f} % wrong"
