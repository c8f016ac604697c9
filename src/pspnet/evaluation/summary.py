"""The scores of an evaluation by name, for JSON and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypedDict

from torch import Tensor

from pspnet.errors import UserError
from pspnet.evaluation.metrics import (
    Absent,
    accuracy_per_class,
    group_iou,
    iou_per_class,
    mean_accuracy,
    mean_iou,
    merged,
    pixel_accuracy,
)


class Summary(TypedDict):
    """The scores of a run as plain numbers in [0, 1] for JSON, None where there is none."""

    miou: float | None
    pixel_accuracy: float | None
    mean_accuracy: float | None
    absent: Absent
    iou: dict[str, float | None]
    accuracy: dict[str, float | None]
    share: dict[str, float | None]  # of the counted pixels, by true class
    groups: dict[str, float | None]  # mean IoU
    categories: dict[str, float | None]  # IoU of classes merged
    category_miou: float | None


def summary(
    matrix: Tensor,
    *,
    names: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    categories: Mapping[str, Sequence[str]] = MappingProxyType({}),
    absent: Absent = "skip",
) -> Summary:
    """All scores of a confusion matrix, by the names of its classes.

    Raises:
        ValueError: if there is not one name a class.
    """
    if len(names) != len(matrix):
        raise UserError(f"{len(names)} names for a matrix of {len(matrix)} classes")
    m = matrix.detach().cpu().double()  # in this order: some accelerators have no float64
    members = {group: [names.index(name) for name in part] for group, part in groups.items()}
    parts = [[names.index(name) for name in part] for part in categories.values()]
    by_category = merged(m, parts) if parts else m[:0, :0]
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


def format_table(scores: Summary) -> str:
    """The summary as a table for the terminal, in per cent, means last; – where there is none."""
    classes = [
        (name, _percent(iou), _percent(scores["accuracy"][name]), _percent(scores["share"][name]))
        for name, iou in scores["iou"].items()
    ]
    groups = [(f"mean of {name}", _percent(iou), "", "") for name, iou in scores["groups"].items()]
    categories = [
        (f"category {name}", _percent(iou), "", "") for name, iou in scores["categories"].items()
    ]
    of_categories = ("mean of categories", _percent(scores["category_miou"]), "", "")
    mean = f"mean (absent: {scores['absent']})"
    means = [
        ("all pixels", "", _percent(scores["pixel_accuracy"]), ""),
        *groups,
        *([of_categories] if categories else []),
        (mean, _percent(scores["miou"]), _percent(scores["mean_accuracy"]), ""),
    ]
    blocks = [block for block in (classes, categories, means) if block]
    width = max(len(row[0]) for block in blocks for row in block)
    header = _line(("class", "IoU %", "accuracy %", "pixels %"), width)
    lines = [[_line(row, width) for row in block] for block in blocks]
    rule = "─" * len(header)
    return "\n".join([header, *(line for block in lines for line in (rule, *block))])


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def _line(row: tuple[str, str, str, str], width: int) -> str:
    name, *cells = row
    return (f"{name:<{width}}" + "".join(f"{cell:>12}" for cell in cells)).rstrip()
