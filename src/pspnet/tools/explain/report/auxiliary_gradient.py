"""The section of the report on the auxiliary loss's gradient, as logged while training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pspnet.callbacks.figures.curves import read
from pspnet.models.pspnet import PSPNet
from pspnet.tools.explain.figures.auxiliary_gradient import draw_gradients
from pspnet.tools.explain.report.markdown import left_out, table

AUXILIARY, MAIN = "train/gradient_auxiliary", "train/gradient_main"
TITLE = "## The auxiliary loss (section 4)"


@dataclass(frozen=True)
class GradientNorms:
    """Norms of the two losses' gradients at stage 4's features; (n,) each, steps ascending.

    Args:
        steps: of the training.
        auxiliary: norms of the weighted auxiliary loss's gradient.
        main: norms of the main loss's gradient.
    """

    steps: np.ndarray
    auxiliary: np.ndarray
    main: np.ndarray

    def tenth(self, index: int) -> tuple[float, float, float]:
        """Return medians over a tenth of the run, 0 to 9: auxiliary, main, their ratio."""
        low, high = (self.steps[-1] * part / 10 for part in (index, index + 1))
        chosen = (self.steps >= low) & (self.steps <= high)
        if not chosen.any():  # fewer values than tenths: the nearest
            chosen = np.arange(len(self.steps)) == np.abs(self.steps - (low + high) / 2).argmin()
        auxiliary, main = self.auxiliary[chosen], self.main[chosen]
        ratio = np.median(auxiliary / main)
        return float(np.median(auxiliary)), float(np.median(main)), float(ratio)


def read_gradients(metrics_csv: Path) -> GradientNorms | None:
    """Read the norms from a run's log; None if it holds none."""
    series = read(metrics_csv) if metrics_csv.is_file() else {}
    if AUXILIARY not in series or MAIN not in series:
        return None
    own, main = (dict(zip(*series[name], strict=True)) for name in (AUXILIARY, MAIN))
    steps = [s for s in own if s in main and np.isfinite([own[s], main[s]]).all() and main[s] > 0]
    if not steps:
        return None
    columns = (steps, [own[s] for s in steps], [main[s] for s in steps])
    return GradientNorms(*(np.array(column) for column in columns))


def auxiliary_section(network: PSPNet, *, log: Path, folder: Path, source: str) -> str:
    """Return the section, with auxiliary.png of `source` if the log holds gradients."""
    if network.auxiliary is None:
        return left_out(TITLE, "the network was trained without one")
    found = read_gradients(log)
    if found is None:
        return left_out(TITLE, f"the run's log, {log}, holds no gradients")
    about = f"{source}; {len(found.steps)} logged steps, one batch each"
    draw_gradients(found.steps, found.auxiliary, found.main, folder / "auxiliary.png", about=about)
    rows = [
        (name, *(f"{value:.3g}" for value in found.tenth(index)))
        for name, index in (("first", 0), ("middle", 5), ("last", 9))
    ]
    header = ("tenth of the run", "auxiliary", "main", "ratio")
    return f"""{TITLE}

Norms of the gradients at stage 4's features, of the weighted auxiliary loss and of the main loss,
each for one batch, as logged while training. They are the losses' relative influence on stages 1
to 4. Medians over the logged steps, {len(found.steps)} in the run.

{table(header, rows)}

![Gradients of both losses](auxiliary.png)
"""
