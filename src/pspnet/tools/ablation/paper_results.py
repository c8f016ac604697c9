"""The paper's ablations on ADE20K's validation set, by sweep and setting."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class PaperResult(NamedTuple):
    """A row of the paper: mIoU and pixel accuracy in per cent."""

    miou: float
    accuracy: float


# arXiv 1612.01105, tables 1 to 4, one scale
PAPER: dict[str, dict[str, PaperResult]] = {
    "table1": {
        "baseline": PaperResult(37.23, 78.01),
        "B1-MAX": PaperResult(39.94, 79.46),
        "B1-AVE": PaperResult(40.07, 79.52),
        "B1236-MAX": PaperResult(40.18, 79.45),
        "B1236-AVE": PaperResult(41.07, 79.97),
        "B1236-MAX-DR": PaperResult(40.87, 79.61),
        "B1236-AVE-DR": PaperResult(41.68, 80.04),
    },
    "table2": {
        "none": PaperResult(35.82, 77.07),
        "0.3": PaperResult(37.01, 77.87),
        "0.4": PaperResult(37.23, 78.01),
        "0.6": PaperResult(37.09, 77.84),
        "0.9": PaperResult(36.99, 77.87),
    },
    "table3": {
        "50": PaperResult(41.68, 80.04),
        "101": PaperResult(41.96, 80.64),
        "152": PaperResult(42.62, 80.80),
        "269": PaperResult(43.81, 80.88),
    },
    "table4": {
        "plain": PaperResult(34.28, 76.35),
        "augmentation": PaperResult(35.82, 77.07),
        "auxiliary": PaperResult(37.23, 78.01),
        "pyramid": PaperResult(41.68, 80.04),
        # from table 3, see MULTI_SCALE
        "multi-scale": PaperResult(42.78, 80.76),
    },
}


ABOUT = (
    "The paper measured on ADE20K's validation set at one scale, with ResNet50 where the row names "
    "no other encoder. On other data, or with other networks, the figures here need not equal its."
)
MULTI_SCALE = (
    "The paper's `multi-scale` row of table 4 (44.94 / 81.69) is ResNet269; the figures shown here "
    "are those of ResNet50 in table 3."
)


def paper_results(sweep_name: str) -> dict[str, PaperResult]:
    """Return the paper's rows by setting; none for sweeps that are not in the paper."""
    return PAPER.get(sweep_name, {})


def explanation(settings: Collection[str]) -> str:
    """Say how the paper's rows of these settings were measured."""
    return f"{ABOUT} {MULTI_SCALE}" if "multi-scale" in settings else ABOUT
