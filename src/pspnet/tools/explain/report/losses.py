"""Scores and losses of IoU without parts of the pyramid's output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pspnet.evaluation.metrics import Absent
from pspnet.evaluation.summary import Summary, summary
from pspnet.tools.explain.pyramid_ablation import Ablation, loss_intervals
from pspnet.tools.explain.pyramid_parts import NOTHING


@dataclass(frozen=True)
class Losses:
    """Scores of an ablation by class, group and mean.

    Args:
        ablation: the evaluations.
        names: of the classes.
        groups: names of classes by group.
        absent: treatment of a class absent from target and prediction in a mean.
        region_sizes: mean region size of each class in pixels, (C,); nan without any.
    """

    ablation: Ablation
    names: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    absent: Absent
    region_sizes: np.ndarray

    @property
    def variants(self) -> list[str]:
        """The variants in which something is ablated."""
        return [name for name in self.ablation.counts if name != NOTHING]

    @property
    def order(self) -> np.ndarray:
        """Indices of the classes, those of large regions first."""
        return np.argsort(-np.nan_to_num(self.region_sizes, nan=-1))

    @cached_property
    def bounds(self) -> dict[str, np.ndarray]:
        """Bounds of the loss of IoU per class, (2, C), by variant; see `loss_intervals`."""
        counts = self.ablation.counts
        return {name: loss_intervals(counts, name) for name in counts}

    def scores(self, variant: str, *, zero: bool = False) -> Summary:
        """Return every score with a variant's parts replaced by their mean, or by 0."""
        matrix = self.ablation.matrices[variant, "zero" if zero else "mean"]
        return summary(matrix, names=self.names, groups=self.groups, absent=self.absent)

    def named(self, variant: str, *, zero: bool = False) -> dict[tuple[str, str], float | None]:
        """Return IoU by kind ("class", "group" or "mean") and name."""
        scores = self.scores(variant, zero=zero)
        classes = {("class", name): iou for name, iou in scores["iou"].items()}
        groups = {("group", name): iou for name, iou in scores["groups"].items()}
        return {**classes, **groups, ("mean", "mIoU"): scores["miou"]}

    def by_class(self) -> np.ndarray:
        """Return the losses of IoU with the mean as replacement, (C, variants); nan if absent."""
        complete, *columns = (
            np.array([self.scores(variant)["iou"][name] for name in self.names], float)  # None: nan
            for variant in (NOTHING, *self.variants)
        )
        losses: np.ndarray = complete[:, None] - np.stack(columns, 1)
        return losses

    def significant(self) -> np.ndarray:
        """Return whether 0 lies outside of each loss's interval, (C, variants)."""
        intervals = (self.bounds[variant] for variant in self.variants)
        return np.stack([(low > 0) | (high < 0) for low, high in intervals], 1)
