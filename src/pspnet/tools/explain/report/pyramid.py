"""The section of the report on the pyramid: the contribution of each part."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

import numpy as np

from pspnet.files.writing import write_atomic
from pspnet.tools.explain.figures.iou_losses import draw_losses
from pspnet.tools.explain.pyramid_parts import ALL_BINS, FEATURES, NOTHING
from pspnet.tools.explain.report.losses import Losses
from pspnet.tools.explain.report.markdown import points, table
from pspnet.tools.explain.report.region_size import Trend, trend

SHARES = "### Share of the activation"


def ablation_section(losses: Losses, *, bins: tuple[int, ...], folder: Path, source: str) -> str:
    """Return the scores without each part, and whether small bins serve large regions.

    Writes ablation.csv and ablation.png, whose heading names `source`.
    """
    write_atomic(folder / "ablation.csv", to_csv(losses).encode())
    table_of_losses = losses.by_class()[losses.order]
    draw_losses(
        100 * table_of_losses,
        losses.significant()[losses.order],
        folder / "ablation.png",
        rows=[losses.names[index] for index in losses.order],
        columns=losses.variants,
        title="IoU lost when a part is replaced by its mean",
        about=f"{source}; {len(losses.ablation.counts[NOTHING])} validation images",
    )
    return "\n".join((_scores(losses), _region_sizes(losses, bins)))


def shares_section(shares: dict[str, tuple[float, float]]) -> str:
    """Return the shares of the parts' terms in the decoder's first convolution."""
    total, varying = (sum(pair[which] for pair in shares.values()) for which in (0, 1))
    rows = [
        (name, f"{100 * size / total:.1f}", f"{100 * deviation / varying:.1f}")
        for name, (size, deviation) in shares.items()
    ]
    header = ("part", "share of all, %", "share of what varies, %")
    return f"""{SHARES}

The decoder's first convolution is linear: its output is a sum of one term for the features and one
for each bin, computed by splitting its kernel by input channels. The table has the root mean square
of each term before the normalization, as a share of the sum over all terms. A term's mean per
channel is no more than a bias, which the normalization removes; the second column leaves it out,
and is the one to read.

{table(header, rows)}
"""


def to_csv(losses: Losses) -> str:
    """Return one line per ablated part, replacement and class, group and mean."""
    out = StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(("ablated", "replaced_by", "kind", "name", "iou", "loss", "low", "high"))
    complete = losses.named(NOTHING)
    for variant in (NOTHING, *losses.variants):
        intervals = dict(zip(losses.names, losses.bounds[variant].T.tolist(), strict=True))
        for replacement in ("mean", "zero"):
            for (kind, name), iou in losses.named(variant, zero=replacement == "zero").items():
                start = complete[kind, name]
                loss = "" if iou is None or start is None else start - iou
                known = kind == "class" and replacement == "mean"
                low, high = intervals[name] if known else ("", "")
                lines.writerow((variant, replacement, kind, name, iou, loss, low, high))
    return out.getvalue()


def _scores(losses: Losses) -> str:
    complete, by_class = losses.scores(NOTHING), losses.by_class()
    means = [(NOTHING, points(complete["miou"]), points(complete["miou"]))]
    for variant in losses.variants:
        pair = (losses.scores(variant)["miou"], losses.scores(variant, zero=True)["miou"])
        means.append((variant, points(pair[0]), points(pair[1])))
    sizes = losses.region_sizes
    rows = [
        (
            losses.names[index],
            "–" if np.isnan(sizes[index]) else f"{sizes[index]:.0f}",
            points(complete["iou"][losses.names[index]]),
            *(points(-loss, sign=True) for loss in by_class[index]),
        )
        for index in losses.order
    ]
    for group, score in complete["groups"].items():
        after = [losses.scores(variant)["groups"][group] for variant in losses.variants]
        changes = (None if b is None or score is None else b - score for b in after)
        rows.append((f"*{group}*", "", points(score), *(points(c, sign=True) for c in changes)))
    return f"""### Ablation, part by part

A part's map is replaced before the decoder, by 0 or by its mean over the data set (one number per
channel). The mean is the fair replacement: after a ReLU a map is never negative, so its mean acts
as a bias that the decoder was trained with. Zeros remove this bias as well, and part of the loss is
then due to an input that the decoder never saw; the mean removes only what differs between images
and places. Both measure how this decoder uses a part, not what a network trained without it
reaches, which an ablation of the bins measures.

{table(("ablated", "mIoU %, replaced by its mean", "mIoU %, replaced by 0"), means)}

Changes of IoU in percentage points with the mean as replacement, classes of large regions first
(mean connected region of the labels, in pixels). In the figure, losses that the images cannot
distinguish from none have no color (95 %, bootstrap over the images). Both replacements are in
[ablation.csv](ablation.csv).

{table(("class", "region, px", "IoU %", *losses.variants), rows)}

![IoU lost by class and part](ablation.png)
"""


def _region_sizes(losses: Losses, bins: tuple[int, ...]) -> str:
    names = [f"bin {side}" for side in bins]
    columns = [losses.variants.index(name) for name in names]
    found = trend(losses.by_class()[:, columns], losses.region_sizes, bins=bins)
    listed = [FEATURES, *names, *([ALL_BINS] if ALL_BINS in losses.variants else [])]
    verdict = "With fewer than two bins there is nothing to compare."
    if found is not None:
        pairs = [(name, f"{rho:+.2f}") for name, rho in zip(names, found.by_bin, strict=True)]
        verdict = f"{_verdict(found)}\n\n{table(('bin', 'rank correlation with size'), pairs)}"
    return f"""### "Small bins carry the large, coarse things, large bins the fine ones"

If so, classes of large regions lose most without a small bin, and classes of small regions without
a large one: the rank correlation of region size and loss falls from bin to bin. The size is that of
the labeled region, not the distance to what identifies it.

{verdict}

The largest losses for each part, of those that are distinguishable from none:

{chr(10).join(f"- {name}: {_largest(losses, name)}" for name in listed)}
"""


def _verdict(found: Trend) -> str:
    said = {
        "holds": "**Here it holds**",
        "reversed": "**Here the reverse holds**",
        "undecided": "**Here it is not decided**",
    }
    return (
        f"{said[found.verdict]}: over {found.classes} classes the rank correlation of region size "
        "and the slope of the loss from the smallest bin to the largest is "
        f"{found.correlation:+.2f} (as claimed: negative), p = {found.p:.3f} in a two-sided "
        "permutation test."
    )


def _largest(losses: Losses, variant: str) -> str:
    column = losses.variants.index(variant)
    own, significant = losses.by_class()[:, column], losses.significant()[:, column]
    hit = sorted(np.flatnonzero(significant & (own > 0)), key=lambda index: -own[index])
    worst = [f"{losses.names[index]} ({100 * own[index]:.1f})" for index in hit[:4]]
    rest = f" and {len(hit) - 4} more" if len(hit) > 4 else ""
    return ", ".join(worst) + rest if worst else "none"
