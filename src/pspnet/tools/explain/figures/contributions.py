"""Contributions of the pyramid's parts to the predicted class, over the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pspnet.plotting.fonts import width_in_letters
from pspnet.plotting.style import GRAY, INK, NORMAL, RULE, SMALL, class_labels, plain, save
from pspnet.tools.explain.figures.sheet import sheet

if TYPE_CHECKING:
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

CELL = 2.0  # inches
TITLE = "Contribution of each part to the predicted class"
LABEL = "contribution to the logit\nof the predicted class"


@dataclass(frozen=True)
class ShownImage:
    """An image with each part's contribution.

    Args:
        name: text below the image.
        image: (H, W, 3) uint8 RGB.
        prediction: class ids, (H, W).
        maps: by part, how much it raises the predicted class's logit, (H, W).
    """

    name: str
    image: np.ndarray
    prediction: np.ndarray
    maps: Mapping[str, np.ndarray]


def draw_contributions(
    images: Sequence[ShownImage],
    out: Path,
    *,
    palette: np.ndarray,
    names: Sequence[str],
    about: str,
) -> None:
    """Draw one row per image: image, prediction, and each part's map over the gray image.

    All maps share one scale, on which color grows with the square root, so that small values show.

    Args:
        images: with the same parts.
        out: the figure, .png, .pdf or .svg.
        palette: RGB by class id, (256, 3) uint8.
        names: of the classes; the legend has those that occur.
        about: network, file and number of images behind the parts' means.
    """
    from matplotlib.cm import ScalarMappable

    parts = [*images[0].maps]
    heights = [CELL * min(x.image.shape[0] / x.image.shape[1], 1.0) + 0.25 for x in images]
    width = (2 + len(parts)) * (CELL + 0.05) + 1.1
    note = f"{about}\nAll maps share one color scale, which grows with the square root."
    figure = sheet(width, sum(heights) + 0.6, title=TITLE, about=note)
    panels = figure.subplots(len(images), 2 + len(parts), squeeze=False, height_ratios=heights)
    values = [change for shown in images for change in shown.maps.values()]
    norm = signed_root(max(float(np.quantile(np.abs(change), 0.995)) for change in values))
    ends = float(norm.vmin or 0), float(norm.vmax or 0)
    beyond = [
        bool(min(v.min() for v in values) < ends[0]),
        bool(max(v.max() for v in values) > ends[1]),
    ]
    for row, shown in zip(panels, images, strict=True):
        gray = np.repeat((shown.image @ np.array([0.299, 0.587, 0.114]))[..., None], 3, 2)
        row[0].imshow(shown.image)
        row[1].imshow(palette[shown.prediction])
        row[0].set_xlabel(plain(shown.name, limit=30), size=SMALL, color=GRAY, labelpad=2)
        for axes, change in zip(row[2:], shown.maps.values(), strict=True):
            axes.imshow(gray.astype(np.uint8))
            axes.imshow(change, cmap="RdBu_r", norm=norm, alpha=0.8)
            label = f"{change.min():+.2g} to {change.max():+.2g}"
            axes.set_xlabel(label, size=SMALL, color=GRAY, labelpad=2)
    for axes, title in zip(panels[0], ("image", "prediction", *parts), strict=True):
        axes.set_title(title, size=NORMAL, color=INK, weight="bold", pad=4)
    for axes in panels.ravel():
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color(RULE)
    extend = ("neither", "min", "max", "both")[beyond[0] + 2 * beyond[1]]
    colors = ScalarMappable(norm, "RdBu_r")
    bar = figure.colorbar(colors, ax=panels, aspect=25, pad=0.01, alpha=0.8, extend=extend)
    ticks = [k * ends[1] for k in (-1, -0.25, 0, 0.25, 1)]
    labels = [f"{tick:+.2g}" if tick else "0" for tick in ticks]
    labels[0] = "≤ " * beyond[0] + labels[0]
    labels[-1] = "≥ " * beyond[1] + labels[-1]
    bar.set_ticks(ticks, labels=labels)
    bar.ax.tick_params(labelsize=SMALL, color=RULE, labelcolor=INK)
    bar.set_label(LABEL, size=SMALL, color=GRAY)
    bar.outline.set_edgecolor(RULE)
    seen = sorted({int(v) for shown in images for v in np.unique(shown.prediction)})
    classes = class_labels(names)
    _legend(figure, {classes[v]: palette[v] / 255 for v in seen})
    save(figure, out)


def signed_root(limit: float) -> Normalize:
    """Return a norm from -limit to limit that grows with the square root of the absolute value."""
    from matplotlib.colors import FuncNorm

    limit = max(limit, 1e-6)
    return FuncNorm(
        (lambda x: np.sign(x) * np.sqrt(np.abs(x)), lambda x: np.sign(x) * np.square(x)),
        vmin=-limit,
        vmax=limit,
        clip=True,
    )


def _legend(figure: Figure, colors: Mapping[str, np.ndarray]) -> None:
    from matplotlib.patches import Patch

    column = 0.065 * max(map(width_in_letters, colors)) + 0.45  # inches
    figure.legend(
        handles=[Patch(fc=color, ec=RULE, lw=0.4, label=name) for name, color in colors.items()],
        loc="outside lower left",
        ncols=min(max(int(figure.get_figwidth() / column), 1), len(colors)),
        fontsize=SMALL,
        labelcolor=INK,
        frameon=False,
    )
