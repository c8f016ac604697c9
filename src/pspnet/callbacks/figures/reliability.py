"""Accuracy over confidence, before and after the temperature."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pspnet.evaluation.calibration import BINS, Calibrated
from pspnet.plotting.style import GRAY, INK, NORMAL, RULE, figure, heading, save, style

BLUE = "#1a73e8"
FEW = 30  # pixels; the accuracy of fewer says little


def draw_reliability(calibrated: Calibrated, out: Path) -> None:
    """Draw the reliability diagram (Guo et al., arXiv 1706.04599, figure 1) before and after.

    Args:
        calibrated: temperature and errors.
        out: the file, .png, .pdf or .svg.
    """
    sheet = figure(6.4, 3.4)
    heading(sheet, f"Accuracy over confidence, temperature {calibrated.temperature:.2f}")
    places = (np.arange(BINS) + 0.5) / BINS
    pairs = {"before": calibrated.before, "after": calibrated.after}
    for axes, (name, error) in zip(sheet.subplots(1, 2, sharey=True), pairs.items(), strict=True):
        style(axes)
        shares = error.count / max(error.count.sum(), 1)
        full = error.count >= FEW
        axes.bar(places, shares, width=1 / BINS, color=RULE, zorder=1, label="share of pixels")
        axes.plot([0, 1], [0, 1], color=GRAY, lw=0.8, ls=(0, (4, 3)), zorder=2)
        axes.plot(
            error.confidence[full],
            error.accuracy[full],
            color=BLUE,
            lw=1.2,
            marker="o",
            ms=3,
            zorder=3,
            label="accuracy",
        )
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set_xlabel("confidence", size=NORMAL, color=INK)
        axes.set_title(
            f"{name}: ECE {100 * (error.ece or 0):.2f} %", loc="left", size=NORMAL, color=GRAY
        )
        axes.legend(loc="upper left", fontsize=NORMAL - 1, frameon=False, labelcolor=INK)
    save(sheet, out)
