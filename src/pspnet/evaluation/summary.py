"""Named scores of an evaluation, as plain data for JSON and as a table for the terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypedDict

from torch import Tensor

from pspnet.evaluation.metrics import (
    Absent,
    accuracy_per_class,
    group_iou,
    iou_per_class,
    mean_accuracy,
    mean_iou,
    merge_classes,
    pixel_accuracy,
)

Row = tuple[str, str, str, str]


class Summary(TypedDict):
    """All scores as plain numbers in [0, 1] for JSON; None where a score is undefined."""

    miou: float | None
    pixel_accuracy: float | None
    mean_accuracy: float | None
    absent: Absent
    iou: dict[str, float | None]
    accuracy: dict[str, float | None]
    share: dict[str, float | None]  # of the counted pixels that are labeled so
    groups: dict[str, float | None]  # mean IoU
    categories: dict[str, float | None]  # IoU of the merged classes
    category_miou: float | None


def summary(
    matrix: Tensor,
    *,
    names: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    categories: Mapping[str, Sequence[str]] = MappingProxyType({}),
    absent: Absent = "skip",
) -> Summary:
    """Return all scores of a confusion matrix under the names of its classes.

    Args:
        matrix: (C, C), or (C, C+1) with the pixels predicted as no class in the last column.
        names: the C classes.
        groups: names of classes per group; a group's score is the mean of its classes' IoU.
        categories: names of classes per category, each class in exactly one, or none at all; a
            category's score is the IoU of its classes merged into one.
        absent: rule for absent classes in means, see `SegmentationMetrics`.
    """
    m = matrix.detach().cpu().double()  # in this order: some accelerators have no float64
    members = {group: [names.index(name) for name in part] for group, part in groups.items()}
    parts = [[names.index(name) for name in part] for part in categories.values()]
    by_category = merge_classes(m, parts) if parts else m[:0, :0]
    return {
        "miou": _plain(mean_iou(m, absent)),
        "pixel_accuracy": _plain(pixel_accuracy(m)),
        "mean_accuracy": _plain(mean_accuracy(m, absent)),
        "absent": absent,
        "iou": _by_name(names, iou_per_class(m)),
        "accuracy": _by_name(names, accuracy_per_class(m)),
        "share": _by_name(names, m.sum(1) / m.sum()),
        "groups": {group: _plain(group_iou(m, part, absent)) for group, part in members.items()},
        "categories": _by_name([*categories], iou_per_class(by_category)),
        "category_miou": _plain(mean_iou(by_category, absent)),
    }


def _plain(value: Tensor) -> float | None:
    return None if value.isnan() else value.item()


def _by_name(names: Sequence[str], values: Tensor) -> dict[str, float | None]:
    return {name: _plain(value) for name, value in zip(names, values, strict=True)}


def log_names(scores: Summary, split: str) -> dict[str, float]:
    """Return the scores that exist under the names of the log, such as val/iou/car; not mIoU."""
    named = {
        f"{split}/pixel_accuracy": scores["pixel_accuracy"],
        f"{split}/mean_accuracy": scores["mean_accuracy"],
        f"{split}/category_miou": scores["category_miou"],
        **{f"{split}/iou/{name}": iou for name, iou in scores["iou"].items()},
        **{f"{split}/miou/{group}": iou for group, iou in scores["groups"].items()},
    }
    return {name: value for name, value in named.items() if value is not None}


def format_table(scores: Summary) -> str:
    """Return the scores as a table in percent for the terminal, means last; – where undefined."""
    classes = [
        (name, _percent(iou), _percent(scores["accuracy"][name]), _percent(scores["share"][name]))
        for name, iou in scores["iou"].items()
    ]
    categories = [
        (f"category {name}", _percent(iou), "", "") for name, iou in scores["categories"].items()
    ]
    blocks = [block for block in (classes, categories, _mean_rows(scores)) if block]
    width = max(_columns(row[0]) for block in blocks for row in block)
    header = _line(("class", "IoU %", "accuracy %", "pixels %"), width)
    lines = [[_line(row, width) for row in block] for block in blocks]
    rule = "─" * len(header)
    return "\n".join([header, *(line for block in lines for line in (rule, *block))])


def _mean_rows(scores: Summary) -> list[Row]:
    groups = [(f"mean of {name}", _percent(iou), "", "") for name, iou in scores["groups"].items()]
    of_categories = ("mean of categories", _percent(scores["category_miou"]), "", "")
    mean = f"mean (absent: {scores['absent']})"
    return [
        ("all pixels", "", _percent(scores["pixel_accuracy"]), ""),
        *groups,
        *([of_categories] if scores["categories"] else []),
        (mean, _percent(scores["miou"]), _percent(scores["mean_accuracy"]), ""),
    ]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def _columns(text: str) -> int:
    """Return the columns that a text takes on a terminal: two for each Chinese character."""
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    return len(text) + wide - sum(unicodedata.category(one) in ("Mn", "Me") for one in text)


def _line(row: Row, width: int) -> str:
    name, *cells = row
    return (
        name + " " * (width - _columns(name)) + "".join(f"{cell:>12}" for cell in cells)
    ).rstrip()
