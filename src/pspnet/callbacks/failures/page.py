"""One page that shows where an evaluation fails; it needs no other file and no network."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from html import escape
from importlib import resources
from typing import Any

from pspnet.callbacks.failures.pictures import Pictures
from pspnet.data.datasets.classes import Classes
from pspnet.errors import visible
from pspnet.evaluation.boundary_iou import WIDTHS
from pspnet.evaluation.image_scores import ByImage, ImageScore

BINS = 20  # of the histogram of mIoU


def page(
    by_image: ByImage,
    pictures: Mapping[str, Pictures],
    *,
    classes: Classes,
    conditions: str,
    results: Mapping[str, Any],
) -> str:
    """Return the page as HTML.

    Args:
        by_image: the scores of all images.
        pictures: of the images to show, by name.
        classes: names and colors.
        conditions: of the evaluation, in one line.
        results: the content of results.json.
    """
    ranks = {row.name: rank for rank, row in enumerate(by_image.suspects(), 1)}
    data = {
        "conditions": visible(conditions),
        "count": len(by_image.rows),
        "miou": _percent(results["miou"]),
        "image_miou": _percent(results["image_miou"]),
        "boundary": [
            [f"{100 * width:g} %", _percent(results["boundary_iou"][f"{width:.1%}"]["miou"])]
            for width in WIDTHS
        ],
        "histogram": histogram(by_image),
        "classes": [
            [visible(name), "#" + bytes(color).hex()]
            for name, color in zip(classes.names, classes.colors, strict=True)
        ],
        "images": [
            _image(row, pictures[row.name], rank=ranks[row.name])
            for row in by_image.worst()
            if row.name in pictures
        ],
    }
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    parts = {name: _static(f"failures.{name}") for name in ("css", "js")}
    title = escape(visible(conditions))
    return _static("failures.html").format(title=title, data=text, **parts)


def _static(name: str) -> str:
    return (resources.files("pspnet.callbacks.failures") / "static" / name).read_text("utf-8")


def histogram(by_image: ByImage) -> list[int]:
    """Return the number of images by mIoU, (BINS,) from 0 to 1."""
    counts = [0] * BINS
    for row in by_image.rows:
        if not math.isnan(row.miou):
            counts[min(int(row.miou * BINS), BINS - 1)] += 1
    return counts


def _image(row: ImageScore, pictures: Pictures, *, rank: int) -> dict[str, Any]:
    image, label, prediction, difference = (
        base64.b64encode(content).decode()
        for content in (
            pictures.image,
            pictures.label,
            pictures.prediction,
            pictures.difference,
        )
    )
    return {
        "name": visible(row.name),
        "size": pictures.size,
        "miou": _percent(row.miou),
        "accuracy": _percent(row.accuracy),
        "quality": _percent(row.label_quality),
        "rank": rank,
        "boundary": [_percent(it) for it in row.boundary],
        "confused": row.confused and [*row.confused[:2], _percent(row.confused[2])],
        "iou": {index: _percent(it) for index, it in enumerate(row.iou) if not math.isnan(it)},
        "image": image,
        "label": label,
        "prediction": prediction,
        "difference": difference,
    }


def _percent(value: float | None) -> float | None:
    """Return a share in percent to a tenth, None where it is undefined."""
    return None if value is None or math.isnan(value) else round(100 * float(value), 1)
