"""The paper's ablations on ADE20K's validation set, by the sweep and setting that repeat them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class Published(NamedTuple):
    """A row of the paper: mIoU and pixel accuracy in per cent."""

    miou: float
    accuracy: float


# arXiv 1612.01105, tables 1 to 4, one scale
PAPER: dict[str, dict[str, Published]] = {
    "table1": {
        "baseline": Published(37.23, 78.01),
        "B1-MAX": Published(39.94, 79.46),
        "B1-AVE": Published(40.07, 79.52),
        "B1236-MAX": Published(40.18, 79.45),
        "B1236-AVE": Published(41.07, 79.97),
        "B1236-MAX-DR": Published(40.87, 79.61),
        "B1236-AVE-DR": Published(41.68, 80.04),
    },
    "table2": {
        "none": Published(35.82, 77.07),
        "0.3": Published(37.01, 77.87),
        "0.4": Published(37.23, 78.01),
        "0.6": Published(37.09, 77.84),
        "0.9": Published(36.99, 77.87),
    },
    "table3": {
        "50": Published(41.68, 80.04),
        "101": Published(41.96, 80.64),
        "152": Published(42.62, 80.80),
        "269": Published(43.81, 80.88),
    },
    "table4": {
        "plain": Published(34.28, 76.35),
        "augmentation": Published(35.82, 77.07),
        "auxiliary": Published(37.23, 78.01),
        "pyramid": Published(41.68, 80.04),
        # of table 3, see MULTI_SCALE
        "multi-scale": Published(42.78, 80.76),
    },
}


ABOUT = (
    "The paper's figures are of ADE20K's validation set at one scale, with ResNet50 where the row "
    "names no other: on other data, or with other networks, ours are not expected to equal them."
)
MULTI_SCALE = (
    "Its figures of `multi-scale` are those of ResNet50 in table 3; in table 4 that row (44.94 / "
    "81.69) is of ResNet269."
)


def published(sweep_name: str) -> dict[str, Published]:
    """The paper's rows by setting; none for sweeps that the paper has not."""
    return PAPER.get(sweep_name, {})


def about(settings: Collection[str]) -> str:
    """What to know of the paper's rows of these settings."""
    return f"{ABOUT} {MULTI_SCALE}" if "multi-scale" in settings else ABOUT
