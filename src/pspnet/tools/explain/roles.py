"""The section of the report on the pyramid: what each bin contributes."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path

import numpy as np
from torch import Tensor

from pspnet.evaluation.metrics import Absent
from pspnet.evaluation.summary import Summary, summary
from pspnet.tools.explain.markdown import points, table
from pspnet.tools.explain.parts_figure import loss_table
from pspnet.tools.explain.pyramid import EVERY_BIN, FEATURES, WHOLE
from pspnet.tools.explain.regions import Claim, judge
from pspnet.tools.explain.silencing import Silencing, loss_intervals


@dataclass(frozen=True)
class Roles:
    """All that was measured of the pyramid.

    Args:
        bins: sides of the grids.
        names: of the classes.
        groups: names of classes by group.
        absent: what a class absent from truth and prediction does to a mean.
        images: how many were evaluated, of how many.
        sizes: root mean square of each part's term in the decoder's first convolution, of all of it
            and of what varies.
        silencing: the evaluations.
        regions: mean region size of each class in pixels, (C,).
    """

    bins: tuple[int, ...]
    names: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    absent: Absent
    images: tuple[int, int]
    sizes: Mapping[str, tuple[float, float]]
    silencing: Silencing
    regions: np.ndarray

    def scores(self, variant: str, *, zero: bool = False) -> Summary:
        """Every score with a variant's parts silenced."""
        matrix: Tensor = self.silencing.matrices[variant, "zero" if zero else "mean"]
        return summary(matrix, names=self.names, groups=self.groups, absent=self.absent)

    @property
    def silent(self) -> list[str]:
        """The variants in which something is silenced."""
        return [name for name in self.silencing.counts if name != WHOLE]

    @cached_property
    def bounds(self) -> dict[str, np.ndarray]:
        """Of the loss of IoU by class, (2, C), by variant; see `loss_intervals`."""
        counts = self.silencing.counts
        return {name: loss_intervals(counts, name) for name in counts}

    def losses(self, variant: str, *, zero: bool = False) -> np.ndarray:
        """Loss of IoU by class, (C,), nan where the class is absent."""
        whole, without = self.scores(WHOLE)["iou"], self.scores(variant, zero=zero)["iou"]
        pairs = ((whole[name], without[name]) for name in self.names)
        return np.array([np.nan if a is None or b is None else a - b for a, b in pairs])


def roles_section(roles: Roles, *, folder: Path) -> str:
    """What each part gives, and whether small bins carry large things.

    Writes silencing.csv and silencing.png.
    """
    (folder / "silencing.csv").write_text(to_csv(roles), "utf-8")
    order = np.argsort(-np.nan_to_num(roles.regions, nan=-1))  # large things first
    losses = np.stack([roles.losses(name) for name in roles.silent], 1)  # (C, variants)
    bounds = (roles.bounds[name] for name in roles.silent)
    sure = np.stack([(low > 0) | (high < 0) for low, high in bounds], 1)
    loss_table(
        100 * losses[order],
        sure[order],
        folder / "silencing.png",
        rows=[roles.names[index] for index in order],
        columns=roles.silent,
        title="IoU lost when a part is silenced (mean in its place)",
    )
    count, every = roles.images
    which = f"all {every} images" if count == every else f"{count} of {every} images"
    return "\n".join(
        (
            "## The pyramid (section 3.2)\n",
            f"On {which} of the validation split, each whole and in one pass.\n",
            _shares(roles),
            _silenced(roles, losses, order),
            _claim(roles, losses, sure),
        )
    )


def to_csv(roles: Roles) -> str:
    """A line for each variant, filling and class, group and mean: IoU, loss and its interval."""
    out = StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(("silenced", "by", "kind", "name", "iou", "loss", "low", "high"))
    whole = _named(roles.scores(WHOLE))
    for variant in (WHOLE, *roles.silent):
        intervals = dict(zip(roles.names, roles.bounds[variant].T.tolist(), strict=True))
        for zero in (False, True):
            for (kind, name), iou in _named(roles.scores(variant, zero=zero)).items():
                start = whole[kind, name]
                loss = "" if iou is None or start is None else start - iou
                known = kind == "class" and not zero
                low, high = intervals[name] if known else ("", "")
                filling = "zero" if zero else "mean"
                lines.writerow((variant, filling, kind, name, iou, loss, low, high))
    return out.getvalue()


def _named(scores: Summary) -> dict[tuple[str, str], float | None]:
    classes = {("class", name): iou for name, iou in scores["iou"].items()}
    groups = {("group", name): iou for name, iou in scores["groups"].items()}
    return {**classes, **groups, ("mean", "mIoU"): scores["miou"]}


def _shares(roles: Roles) -> str:
    whole = sum(size for size, _ in roles.sizes.values())
    varying = sum(size for _, size in roles.sizes.values())
    rows = [
        (name, f"{100 * size / whole:.1f}", f"{100 * change / varying:.1f}")
        for name, (size, change) in roles.sizes.items()
    ]
    header = ("part", "share of all, %", "share of what varies, %")
    return f"""### Share of the activation

The decoder's 3×3 convolution is linear: its output is a sum of one term for the features and one
for each bin, got by splitting its kernel by input channels. Given is the root mean square of
each term, before the normalization, as a share of the sum of them all. A term's mean by channel
is no more than a bias, which the normalization takes off; the second column leaves it out, and
is the one to read.

{table(header, rows)}
"""


def _silenced(roles: Roles, losses: np.ndarray, order: np.ndarray) -> str:
    whole = roles.scores(WHOLE)
    means = [("nothing", points(whole["miou"]), points(whole["miou"]))]
    for name in roles.silent:
        pair = (roles.scores(name)["miou"], roles.scores(name, zero=True)["miou"])
        means.append((name, points(pair[0]), points(pair[1])))
    area = roles.regions
    rows = [
        (
            roles.names[index],
            "–" if np.isnan(area[index]) else f"{area[index]:.0f}",
            points(whole["iou"][roles.names[index]]),
            *(points(-loss, sign=True) for loss in losses[index]),
        )
        for index in order
    ]
    for group, score in whole["groups"].items():
        after = [roles.scores(name)["groups"][group] for name in roles.silent]
        changes = (None if b is None or score is None else b - score for b in after)
        cells = (points(change, sign=True) for change in changes)
        rows.append((f"*{group}*", "", points(score), *cells))
    return f"""### Silenced, one by one

A part's map is replaced before the decoder, by 0 or by its mean over the data set (one number a
channel). The mean is the honest one: after a ReLU a map is never negative, so that its mean acts
as a bias that the decoder was trained with. Zeros take this bias away as well, and what is lost
is then partly the shock of an input that the decoder never saw; the mean takes away no more than
what differs from image to image and from place to place. Either says what this decoder makes of
a part, not what a network that is trained without it reaches: that is what the ablation of the
bins is for.

{table(("silenced", "mIoU %, mean in its place", "mIoU %, 0 in its place"), means)}

Changes of IoU in percentage points with the mean in its place, classes of large regions first
(mean connected region of the truth, in pixels); in the picture losses that the images cannot
tell from none are gray (95 %, bootstrap over the images). With both fillings:
[silencing.csv](silencing.csv).

{table(("class", "region, px", "IoU %", *roles.silent), rows)}

![IoU lost by class and part](silencing.png)
"""


def _claim(roles: Roles, losses: np.ndarray, sure: np.ndarray) -> str:
    names = [f"bin {side}" for side in roles.bins]
    columns = [roles.silent.index(name) for name in names]
    claim = judge(losses[:, columns], roles.regions, bins=roles.bins)
    lines = [_hit_hardest(roles, name, losses, sure) for name in (FEATURES, *names)]
    if EVERY_BIN in roles.silent:
        lines.append(_hit_hardest(roles, EVERY_BIN, losses, sure))
    verdict = "With fewer than two bins there is nothing to compare." if claim is None else ""
    if claim is not None:
        pairs = [(name, f"{rho:+.2f}") for name, rho in zip(names, claim.by_bin, strict=True)]
        verdict = f"{_verdict(claim)}\n\n{table(('bin', 'rank correlation with size'), pairs)}"
    return f"""### "Small bins carry the large, coarse things, large bins the fine ones"

If so, classes of large regions lose most where a small bin is silenced, and classes of small
regions where a large one is: the rank correlation of region size and loss falls from bin to bin.
Size is that of what is labeled; how far away lies what it is told by, it does not say.

{verdict}

Which classes a part's silence costs most, of the losses that can be told from none:

{chr(10).join(lines)}
"""


def _verdict(claim: Claim) -> str:
    trend = (
        f"over {claim.classes} classes the rank correlation of region size and the slope of the "
        f"loss from the least bin to the greatest is {claim.trend:+.2f} (as claimed: negative), "
        f"and chance gives one as strong in {100 * claim.chance:.1f} % of cases"
    )
    said = {
        "holds": "**Here it holds**",
        "reversed": "**Here it is refuted, and the reverse is true**",
        "undecided": "**Here it cannot be decided, and is not seen**",
    }
    return f"{said[claim.verdict]}: {trend}."


def _hit_hardest(roles: Roles, variant: str, losses: np.ndarray, sure: np.ndarray) -> str:
    column = roles.silent.index(variant)
    hit = [i for i in range(len(roles.names)) if sure[i, column] and losses[i, column] > 0]
    hit.sort(key=lambda index: -losses[index, column])
    worst = [f"{roles.names[i]} ({100 * losses[i, column]:.1f})" for i in hit[:4]]
    more = f" and {len(hit) - 4} more" if len(hit) > 4 else ""
    return f"- {variant}: {', '.join(worst) + more if worst else 'none'}"
