"""Gradient norms of both losses over a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pspnet.callbacks.figures.curves import AUXILIARY, MAIN, TRAIN, running_mean
from pspnet.plotting.style import GRAY, INK, LARGE, RULE, SMALL, save


def draw_gradients(steps: np.ndarray, auxiliary: np.ndarray, main: np.ndarray, out: Path) -> None:
    """Draw both norms on a logarithmic scale, and their ratio.

    Values are smoothed by a running mean over 1/25 of the run, with the raw values behind.

    Args:
        steps: of the training, ascending, (n,).
        auxiliary: norms of the weighted auxiliary loss's gradient, (n,).
        main: norms of the main loss's gradient, above 0, (n,).
        out: the figure, .png, .pdf or .svg.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure((8.7, 3.1), dpi=160, layout="constrained")
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
    norms.legend(fontsize=SMALL, labelcolor=INK, framealpha=0.85, edgecolor="none", loc="best")
    ratio.set_ylim(0, 1.08 * float((auxiliary / main).max()) or 1)
    for axes, title in zip(
        panels, ("Gradient norm at stage 4", "Ratio, auxiliary to main"), strict=True
    ):
        axes.set_title(title, loc="left", size=LARGE, color=INK, weight="bold")
        axes.set_xlabel("step", size=SMALL, color=GRAY)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.tick_params(which="both", labelsize=SMALL, color=RULE, labelcolor=INK)
        axes.grid(color=RULE, lw=0.6)
        axes.spines[:].set_color(RULE)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, out)
