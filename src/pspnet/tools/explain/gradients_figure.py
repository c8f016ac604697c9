"""How the gradients of the two losses compare over a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pspnet.callbacks.figures.curves import AUXILIARY, MAIN, TRAIN, running_mean
from pspnet.plotting import GRAY, INK, LARGE, RULE, SMALL, panel, save, sheet


def gradient_curves(steps: np.ndarray, auxiliary: np.ndarray, main: np.ndarray, out: Path) -> None:
    """Draws both norms on a logarithmic scale, and the auxiliary one by the main one.

    Values are smoothed by a running mean over 1/25 of the run, the raw ones stand behind.

    Args:
        steps: of the training, ascending, (n,).
        auxiliary: norms of the weighted auxiliary loss's gradient, (n,).
        main: norms of the main loss's gradient, above 0, (n,).
        out: the picture, .png, .pdf or .svg.
    """
    from matplotlib.ticker import MaxNLocator

    figure = sheet(8.7, height=3.1)
    norms, ratio = (
        panel(figure, left=0.7 + 4.2 * column, top=0.45, width=3.5, height=2.15)
        for column in range(2)
    )
    reach = len(steps) // 50
    for values, name, color in ((main, "main", MAIN), (auxiliary, "auxiliary", AUXILIARY)):
        norms.plot(steps, values, color=color, lw=0.7, alpha=0.3)
        smooth = running_mean(values, reach=reach)
        norms.plot(steps, smooth, color=color, lw=1.5, marker=_mark(steps), ms=3, label=name)
    norms.set_yscale("log")
    norms.legend(fontsize=SMALL, labelcolor=INK, framealpha=0.85, edgecolor="none")
    ratio.plot(steps, auxiliary / main, color=TRAIN, lw=0.7, alpha=0.3)
    smooth = running_mean(auxiliary / main, reach=reach)
    ratio.plot(steps, smooth, color=TRAIN, lw=1.5, marker=_mark(steps), ms=3)
    ratio.set_ylim(bottom=0)
    for axes, title in ((norms, "Gradient at stage 4"), (ratio, "Auxiliary by main")):
        axes.set_title(title, loc="left", size=LARGE, color=INK, weight="bold")
        axes.set_xlabel("step", size=SMALL, color=GRAY)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.tick_params(which="both", labelsize=SMALL, color=RULE, labelcolor=INK)
        axes.grid(color=RULE, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, out)


def _mark(steps: np.ndarray) -> str | None:
    return "o" if len(steps) <= 40 else None
