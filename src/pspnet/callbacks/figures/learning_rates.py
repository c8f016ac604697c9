"""The loss over growing learning rates, with the rate that a range test suggests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pspnet.callbacks.figures.curves import TRAIN
from pspnet.plotting.style import GRAY, INK, NORMAL, RULE, SMALL, figure, heading, save, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_learning_rates(
    rates: np.ndarray,
    losses: np.ndarray,
    curve: np.ndarray,
    out: Path,
    *,
    suggested: int | None,
    title: str = "",
) -> None:
    """Draw losses and their smoothed curve over the learning rate on a log axis.

    The ordinate is that of the smoothed curve up to its last rise, where the loss diverges.

    Args:
        rates: ascending; (n,).
        losses: of each step; (n,).
        curve: the same smoothed; (n,).
        out: the file, .png, .pdf or .svg.
        suggested: index of the rate to mark, None without any.
        title: stands above the axes.
    """
    from matplotlib.ticker import NullLocator

    sheet = figure(5.2, 3.6)
    heading(sheet, title)
    axes = sheet.subplots()
    style(axes)
    axes.set_xscale("log")
    axes.plot(rates, losses, color=TRAIN, lw=0.7, alpha=0.35, label="of each step")
    axes.plot(rates, curve, color=TRAIN, lw=1.6, label="smoothed")
    if suggested is not None:
        _mark(axes, rates[suggested], curve[suggested])
    top = curve[: int(curve.argmin()) + 1].max()
    margin = 0.25 * (top - curve.min()) + 0.02 * top
    axes.set_ylim(curve.min() - margin, top + margin)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("Training loss", loc="left", size=NORMAL + 1, color=INK, weight="bold")
    axes.set_xlabel("learning rate of the encoder", size=SMALL, color=GRAY)
    axes.legend(fontsize=SMALL, labelcolor=INK, framealpha=0.85, edgecolor="none", loc="best")
    save(sheet, out)


def _mark(axes: Axes, rate: float, loss: float) -> None:
    """Mark the suggested rate by a star and a vertical line."""
    axes.axvline(rate, color=RULE, lw=1.0, zorder=0)
    look: dict[str, Any] = {"marker": "*", "ms": 11, "mfc": "#fbbc04", "mec": INK, "mew": 0.6}
    axes.plot(rate, loss, label=f"suggested: {rate:.2g}", ls="", **look)
