"""How hard the auxiliary loss pulled at the encoder while training, from the run's log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pspnet.callbacks.figures.curves import read

AUXILIARY, MAIN = "train/gradient_auxiliary", "train/gradient_main"


@dataclass(frozen=True)
class Gradients:
    """Norms of the two losses' gradients at stage 4's features; (n,) each, steps ascending.

    Args:
        steps: of the training.
        auxiliary: of the weighted auxiliary loss.
        main: of the main loss.
    """

    steps: np.ndarray
    auxiliary: np.ndarray
    main: np.ndarray

    def tenth(self, which: int) -> tuple[float, float, float]:
        """Medians over a tenth of the run, 0 to 9: auxiliary, main, and auxiliary by main."""
        low, high = (self.steps[-1] * part / 10 for part in (which, which + 1))
        chosen = (self.steps >= low) & (self.steps <= high)
        if not chosen.any():  # fewer values than tenths: the nearest
            chosen = np.arange(len(self.steps)) == np.abs(self.steps - (low + high) / 2).argmin()
        auxiliary, main = self.auxiliary[chosen], self.main[chosen]
        ratio = np.median(auxiliary / main)
        return float(np.median(auxiliary)), float(np.median(main)), float(ratio)


def gradients(metrics_csv: Path) -> Gradients | None:
    """What a run's log says of the gradients; None if it says nothing.

    Raises:
        ValueError: if the file cannot be read as a log.
    """
    if not metrics_csv.is_file():
        return None
    series = read(metrics_csv)
    if AUXILIARY not in series or MAIN not in series:
        return None
    own, main = (dict(zip(*series[name], strict=True)) for name in (AUXILIARY, MAIN))
    steps = [s for s in own if s in main and np.isfinite([own[s], main[s]]).all() and main[s] > 0]
    if not steps:
        return None
    columns = (
        np.array(steps),
        np.array([own[s] for s in steps]),
        np.array([main[s] for s in steps]),
    )
    return Gradients(*columns)
