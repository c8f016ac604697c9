"""Images beside target, prediction and errors, with a legend of the classes that occur."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pspnet.plotting.style import (
    INK,
    NORMAL,
    SMALL,
    STRIPE,
    WRONG,
    Entry,
    class_labels,
    figure,
    heading,
    legend,
    legend_rows,
    save,
    stripes,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Row = tuple[np.ndarray, np.ndarray, np.ndarray]  # image, target, prediction

WHITE = (255, 255, 255)
TITLES = ("Image", "Target", "Prediction", "Errors")
CELL = 3.1  # inches
TALLEST = 1.0  # the largest height of a cell, in widths
SHOWN = 600  # pixels of the longer side that stripes are drawn for
NAMED, LINE = 3, 50  # confusions per image, characters per line below it
KEY, KEY_LINE = 3.0, 40  # inches and characters: the legend of the errors


def draw_prediction_grid(
    rows: Sequence[Row],
    out: Path,
    *,
    palette: np.ndarray,
    names: Sequence[str],
    ignore: int = 255,
    title: str = "",
) -> None:
    """Draw a row per image: the image, target, prediction, and where the two differ.

    In the errors, wrong pixels are magenta on the pale gray image; the share of wrong pixels among
    the counted ones stands below, with the classes that were mistaken most often. Ignored pixels
    are striped there and in the target.

    Args:
        rows: image (H, W, 3) uint8 RGB, target (H, W) uint8, prediction (H, W) uint8; sizes may
            differ from row to row.
        out: the file, .png, .pdf or .svg.
        palette: RGB by label value, (256, 3) uint8.
        names: the C classes; the legend has those that occur.
        ignore: the target's value of pixels that do not count.
        title: stands above the images.
    """
    labels = class_labels(names)
    entries = legend_entries(rows, palette=palette, labels=labels, ignore=ignore)
    notes = [mistakes(*row[1:], labels=labels, ignore=ignore) for row in rows]
    heights = [min(image.shape[0] / image.shape[1], TALLEST) for image, _, _ in rows]
    width = len(TITLES) * CELL
    key = _key(rows, labels=labels, ignore=ignore)
    below = 0.19 * max(
        legend_rows(entries, width=width - KEY), sum(1 + one.name.count("\n") for one in key)
    )
    lines = sum(note.count("\n") + 1 for note in notes)
    height = CELL * sum(heights) + 0.12 * lines + 0.12 * len(rows) + 0.4 + below
    sheet = figure(width, height + (0.3 if title else 0))
    heading(sheet, title)
    grid = sheet.subplots(len(rows), len(TITLES), squeeze=False, height_ratios=heights)
    for axes, row, note in zip(grid, rows, notes, strict=True):
        _draw_row(axes, row, palette=palette, ignore=ignore)
        axes[-1].set_xlabel(
            note, size=SMALL, color=INK, labelpad=2, ha="left", x=0, linespacing=1.1
        )
    for axes, name in zip(grid[0], TITLES, strict=True):
        axes.set_title(name, size=NORMAL + 1, color=INK, weight="bold", pad=4)
    legend(sheet, entries, width=width - KEY)
    legend(sheet, key, side="right", width=KEY)
    save(sheet, out)


def errors(
    image: np.ndarray, *, target: np.ndarray, prediction: np.ndarray, ignore: int
) -> np.ndarray:
    """Return the image in pale gray, wrong pixels magenta, ignored striped; (H, W, 3) uint8."""
    luma = image @ np.array([0.299, 0.587, 0.114])  # (H, W), ITU-R BT.601
    pale = (160 + 0.37 * luma).astype(np.uint8)  # 160 to 254: the errors are darker than all of it
    shown = np.repeat(pale[..., None], 3, axis=2)  # (H, W, 3)
    shown[prediction != target] = WRONG
    return striped(shown, target == ignore)


def striped(colors: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return colors (H, W, 3) with gray diagonal stripes on white at some pixels, (H, W)."""
    lines = np.where(stripes(*where.shape), np.uint8(STRIPE[0]), np.uint8(255))  # (H, W)
    return np.where(where[..., None], lines[..., None], colors)


def mistakes(
    target: np.ndarray, prediction: np.ndarray, *, labels: Sequence[str], ignore: int
) -> str:
    """Return the share of wrong pixels and the most frequent confusions, in lines of a cell.

    "car for boat 3.1 %": so many of the counted pixels are boat, and predicted as car.
    """
    counted = target != ignore
    if not counted.any():
        return "every pixel is ignored"
    wrong = (target != prediction)[counted].mean()
    said = f"{100 * wrong:.1f} % wrong"
    parts = [
        f"{labels[predicted]} for {labels[is_]} {100 * share:.1f}\N{NO-BREAK SPACE}%"
        for is_, predicted, share in _confusions(target, prediction, ignore=ignore)
    ]
    return textwrap.fill(": ".join([said, ", ".join(parts)] if parts else [said]), LINE)


def _confusions(
    target: np.ndarray, prediction: np.ndarray, *, ignore: int
) -> list[tuple[int, int, float]]:
    """Return target, prediction and share of the most frequent confusions, at least 0.05 %."""
    counted = target != ignore
    pairs = target[counted].astype(np.intp) * 256 + prediction[counted]
    counts = np.bincount(pairs[target[counted] != prediction[counted]], minlength=256**2)
    common = np.argsort(-counts, kind="stable")[:NAMED]
    shares = [(int(pair), counts[pair] / counted.sum()) for pair in common if counts[pair]]
    return [(pair // 256, pair % 256, share) for pair, share in shares if share >= 0.0005]


def legend_entries(
    rows: Sequence[Row], *, palette: np.ndarray, labels: Sequence[str], ignore: int
) -> list[Entry]:
    """Return the classes that occur, in their order."""
    present = {value for _, *maps in rows for it in maps for value in np.unique(it)}
    return [
        Entry(labels[value], tuple(palette[value].tolist())) for value in sorted(present - {ignore})
    ]


def _key(rows: Sequence[Row], *, labels: Sequence[str], ignore: int) -> list[Entry]:
    """Return the meaning of magenta and stripes, which is no class's, and of the notes."""
    entries = [Entry("wrong pixel (in the errors)", WRONG)]
    if any((target == ignore).any() for _, target, _ in rows):
        entries.append(Entry("ignored pixel", WHITE, striped=True))
    named = [it[:2] for _, *maps in rows for it in _confusions(*maps, ignore=ignore)]
    if named:
        example = min(named, key=lambda pair: sum(len(labels[value]) for value in pair))
        is_, predicted = (labels[value] for value in example)
        text = f"“{predicted} for {is_}”: {is_}, predicted as {predicted}"
        entries.append(Entry(textwrap.fill(text, KEY_LINE), None))
    return entries


def _draw_row(axes: Sequence[Axes], row: Row, *, palette: np.ndarray, ignore: int) -> None:
    times = max(1, round(SHOWN / max(row[1].shape)))  # small images get stripes as fine as large
    image, target, prediction = (it.repeat(times, 0).repeat(times, 1) for it in row)
    colors = striped(palette[target], target == ignore)  # (H, W, 3)
    wrong = errors(image, target=target, prediction=prediction, ignore=ignore)
    for one, pixels in zip(axes, (row[0], colors, palette[row[2]], wrong), strict=True):
        style(one)
        one.set(xticks=[], yticks=[])
        one.imshow(pixels, interpolation="auto", interpolation_stage="rgba")
