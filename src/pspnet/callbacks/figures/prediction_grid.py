"""Images beside truth, prediction and errors, with a legend of the classes that occur."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pspnet.errors import UserError
from pspnet.plotting import (
    GRAY,
    INK,
    LINE,
    NORMAL,
    SMALL,
    Entry,
    legend,
    legend_shape,
    panel,
    plain,
    save,
    sheet,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Row = tuple[np.ndarray, np.ndarray | None, np.ndarray]  # image, truth, prediction

WRONG = (226, 38, 46)
WHITE = (255, 255, 255)
CELL, GAP, HEAD, FOOT = 3.1, 0.08, 0.32, 0.2  # inches
TALLEST = 1.0  # the largest height of a cell, by its width


def prediction_grid(
    rows: Sequence[Row],
    out: Path,
    *,
    palette: np.ndarray,
    names: Sequence[str],
    ignore: int = 255,
) -> None:
    """Draws a line for every image: the image, the truth, the prediction, and where the two differ.

    In the errors, wrong pixels are red on the gray image and ignored ones striped; the share of
    wrong pixels among those that count stands below. Ignored pixels are white in the truth. Without
    any truth there are two columns.

    Args:
        rows: image (H, W, 3) uint8 RGB, truth (H, W) uint8 or None, prediction (H, W) uint8; the
            sizes may differ from row to row.
        out: the picture, .png, .pdf or .svg.
        palette: RGB by label value, (256, 3) uint8.
        names: the C classes; the legend has those that occur.
        ignore: the truth's value of pixels that do not count.

    Raises:
        ValueError: if there is no row, a row's sizes or types do not fit, or a label is no class.
    """
    if not rows:
        raise UserError("no rows for the grid of predictions; give at least one image")
    if palette.shape != (256, 3) or palette.dtype != np.uint8:
        raise UserError(f"palette {palette.shape} {palette.dtype}; give (256, 3) uint8")
    for number, row in enumerate(rows):
        _check(row, number=number, classes=len(names), ignore=ignore)
    judged = any(truth is not None for _, truth, _ in rows)
    _draw(
        [cells(row, palette=palette, ignore=ignore, judged=judged) for row in rows],
        _entries(rows, palette=palette, names=names, ignore=ignore),
        titles=["Image", "Truth", "Prediction", "Errors"] if judged else ["Image", "Prediction"],
        notes=[_verdict(truth, prediction, ignore=ignore) for _, truth, prediction in rows],
        out=out,
    )


def cells(row: Row, *, palette: np.ndarray, ignore: int, judged: bool) -> list[np.ndarray | None]:
    """A row's pictures, (H, W, 3) uint8: image, truth, prediction, errors; None for an empty cell.

    Without `judged` there are only image and prediction.
    """
    image, truth, prediction = row
    predicted = palette[prediction]  # (H, W, 3)
    if not judged:
        return [image, predicted]
    if truth is None:
        return [image, None, predicted, None]
    shown = np.where((truth == ignore)[..., None], np.uint8(255), palette[truth])  # (H, W, 3)
    return [
        image,
        shown,
        predicted,
        errors(image, truth=truth, prediction=prediction, ignore=ignore),
    ]


def errors(
    image: np.ndarray, *, truth: np.ndarray, prediction: np.ndarray, ignore: int
) -> np.ndarray:
    """The image in pale gray, wrong pixels red, ignored pixels striped; (H, W, 3) uint8."""
    luma = image @ np.array([0.299, 0.587, 0.114])  # (H, W), ITU-R BT.601
    pale = (110 + 0.5 * luma).astype(np.uint8)  # 110 to 237: red stands out on all of it
    picture = np.repeat(pale[..., None], 3, axis=2)  # (H, W, 3)
    picture[prediction != truth] = WRONG
    void = truth == ignore
    picture[void] = stripes(*truth.shape)[void][:, None]
    return picture


def stripes(height: int, width: int) -> np.ndarray:
    """Gray diagonal stripes on white, some 40 across the longer side; (height, width) uint8."""
    period = max(max(height, width) // 40, 4)
    diagonal = np.add.outer(np.arange(height), np.arange(width)) % period
    return np.where(diagonal < period // 4, 190, 255).astype(np.uint8)


def _check(row: Row, *, number: int, classes: int, ignore: int) -> None:
    image, truth, prediction = row
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        given = f"image {image.shape} {image.dtype}"
        raise UserError(f"row {number}: {given}; give (H, W, 3) uint8 RGB")
    for kind, label in (("truth", truth), ("prediction", prediction)):
        if label is None:
            continue
        if label.shape != image.shape[:2] or label.dtype != np.uint8:
            given = f"{kind} {label.shape} {label.dtype}"
            raise UserError(f"row {number}: {given}; give {image.shape[:2]} uint8")
        present = set(np.unique(label).tolist()) - ({ignore} if kind == "truth" else set())
        if max(present, default=0) >= classes:
            raise UserError(f"row {number}: {kind} {max(present)} is none of {classes} classes")


def _verdict(truth: np.ndarray | None, prediction: np.ndarray, *, ignore: int) -> str:
    if truth is None:
        return ""
    counted = truth != ignore
    if not counted.any():
        return "every pixel is ignored"
    return f"{100 * (prediction != truth)[counted].mean():.1f} % wrong"


def _entries(
    rows: Sequence[Row], *, palette: np.ndarray, names: Sequence[str], ignore: int
) -> list[Entry]:
    """Classes that occur, by number, then what red and stripes mean."""
    truths = [truth for _, truth, _ in rows if truth is not None]
    labels = truths + [prediction for _, _, prediction in rows]
    present = sorted({value for label in labels for value in np.unique(label).tolist()})
    entries = [
        Entry(plain(names[value], limit=28), tuple(palette[value].tolist()))
        for value in present
        if value != ignore
    ]
    if truths:
        entries.append(Entry("wrong pixel", WRONG))
    if any((truth == ignore).any() for truth in truths):
        entries.append(Entry("ignored pixel", WHITE, striped=True))
    return entries


def _draw(
    pictures: list[list[np.ndarray | None]],
    entries: list[Entry],
    *,
    titles: list[str],
    notes: list[str],
    out: Path,
) -> None:
    shapes = [row[0].shape for row in pictures if row[0] is not None]
    heights = [CELL * min(shape[0] / shape[1], TALLEST) for shape in shapes]
    foot = FOOT if any(notes) else GAP
    width = len(titles) * (CELL + GAP) - GAP
    below = HEAD + sum(heights) + len(heights) * foot + 0.06
    _, lines = legend_shape(entries, width=width)
    figure = sheet(width + 2 * GAP, height=below + lines * LINE + 0.1)
    top = HEAD
    for number, (row, height, note) in enumerate(zip(pictures, heights, notes, strict=True)):
        for column, picture in enumerate(row):
            left = GAP + column * (CELL + GAP)
            axes = panel(figure, left=left, top=top, width=CELL, height=height)
            _show(axes, picture, title="" if number else titles[column])
        axes.set_xlabel(note, size=SMALL, color=GRAY, labelpad=2)
        top += height + foot
    legend(figure, entries, left=GAP, top=below, width=width)
    save(figure, out)


def _show(axes: Axes, picture: np.ndarray | None, *, title: str) -> None:
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, size=NORMAL + 1, color=INK, weight="bold", pad=4)
    if picture is not None:
        axes.imshow(picture, interpolation="auto", interpolation_stage="rgba")
        return

    axes.text(0.5, 0.5, "no truth", transform=axes.transAxes, size=NORMAL, color=GRAY, ha="center")
