"""The table of all images, images.csv."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from pspnet.evaluation.boundary_iou import WIDTHS
from pspnet.evaluation.image_scores import ByImage, ImageScore


def table(by_image: ByImage, names: Sequence[str]) -> str:
    """Return the scores of all images as CSV, the lowest mIoU first; empty where undefined.

    Args:
        by_image: the scores.
        names: of the classes.
    """
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n")
    boundaries = [f"boundary_iou_{width:.1%}" for width in WIDTHS]
    confused = ["labeled", "predicted", "confused_pixels"]
    scores = ["name", "miou", "pixel_accuracy", "label_quality", "label_error_rank"]
    write.writerow([*scores, *boundaries, *confused, *(f"iou/{name}" for name in names)])
    ranks = {row.name: rank for rank, row in enumerate(by_image.suspects(), 1)}
    for row in by_image.worst():
        values = [row.miou, row.accuracy, row.label_quality, ranks[row.name], *row.boundary]
        numbers = [_number(value) for value in values]
        cells = [_number(value) for value in row.iou]
        write.writerow([row.name, *numbers, *_confused(row, names), *cells])
    return text.getvalue()


def _confused(row: ImageScore, names: Sequence[str]) -> list[str]:
    if row.confused is None:
        return ["", "", ""]
    label, predicted, share = row.confused
    return [names[label], names[predicted], _number(share)]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
