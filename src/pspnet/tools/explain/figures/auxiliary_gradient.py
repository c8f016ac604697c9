"""Gradient norms of both losses over a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pspnet.callbacks.figures.curves import AUXILIARY, MAIN, TRAIN, running_mean
from pspnet.plotting.style import GRAY, INK, NORMAL, RULE, SMALL, save
from pspnet.tools.explain.figures.sheet import sheet

HEADROOM = 1.12  # so that no marker is cut


def draw_gradients(
    steps: np.ndarray, auxiliary: np.ndarray, main: np.ndarray, out: Path, *, about: str
) -> None:
    """Draw both norms on a logarithmic scale, and their ratio.

    Values are smoothed by a running mean over 1/25 of the run, with the raw values behind.

    Args:
        steps: of the training, ascending, (n,).
        auxiliary: norms of the weighted auxiliary loss's gradient, (n,).
        main: norms of the main loss's gradient, above 0, (n,).
        out: the figure, .png, .pdf or .svg.
        about: network and file.
    """
    from matplotlib.ticker import MaxNLocator

    title = "Gradients of the auxiliary and the main loss at stage 4"
    figure = sheet(8.7, 2.9, title=title, about=about)
    norms, ratio = panels = figure.subplots(1, 2)
    mark, reach = "o" if len(steps) <= 40 else None, len(steps) // 50
    for axes, values, name, color in (
        (norms, main, "main", MAIN),
        (norms, auxiliary, "auxiliary", AUXILIARY),
        (ratio, auxiliary / main, "", TRAIN),
    ):
        axes.plot(steps, values, color=color, lw=0.7, alpha=0.3)
        smooth = running_mean(values, reach=reach)
        axes.plot(steps, smooth, color=color, lw=1.5, marker=mark, ms=3, label=name)
    norms.set_yscale("log")
    norms.set_ylim(*_limits(np.concatenate([auxiliary, main])))
    above = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2, "ncols": 2}
    norms.legend(fontsize=SMALL, labelcolor=INK, frameon=False, **above)
    ratio.set_ylim(0, HEADROOM * float((auxiliary / main).max()) or 1)
    for axes, name in zip(
        panels, ("norm of the gradient", "ratio, auxiliary to main"), strict=True
    ):
        axes.set_title(name, loc="left", size=NORMAL, color=INK)
        if len(steps) == 1:
            axes.set_xlim(steps[0] - 1, steps[0] + 1)
        axes.set_xlabel("step", size=SMALL, color=GRAY)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.tick_params(which="both", labelsize=SMALL, color=RULE, labelcolor=INK)
        axes.grid(color=RULE, lw=0.6)
        axes.spines[:].set_color(RULE)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, out)


def _limits(norms: np.ndarray) -> tuple[float, float]:
    """Return the ends of a logarithmic axis with room beyond the norms above 0."""
    logs = np.log10(norms[norms > 0])
    room = max(0.08 * float(np.ptp(logs)), 0.05)  # decades
    return float(10 ** (logs.min() - room)), float(10 ** (logs.max() + room))
