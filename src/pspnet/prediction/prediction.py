"""The prediction on one image: class ids, confidence, scores, pictures and files."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from pspnet.data.datasets.classes import Classes
from pspnet.prediction.folder import DEFAULT, PredictionFolder
from pspnet.prediction.forms import FormName, Options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 6.0  # inches of the picture in a notebook


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction on one image; in a notebook it shows itself.

    Args:
        label: class ids, (H, W) uint8.
        confidence: probability of each pixel's class, (H, W) float32.
        image: RGB, (H, W, 3) uint8.
        classes: names and colors of the class ids.
        name: of its files, a relative path without suffix.
        file: name of the file that it is of, "" if there is none.
    """

    label: np.ndarray
    confidence: np.ndarray
    image: np.ndarray
    classes: Classes
    name: str = "image"
    file: str = ""
    _compute: Callable[[], np.ndarray] | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        height, width = self.label.shape
        shares = ", ".join(f"{name} {share:.1%}" for name, share in [*self.shares().items()][:5])
        return f"Prediction({self.name!r}, {width}×{height}: {shares})"

    def scores(self) -> np.ndarray:
        """Return the probability of every class, (C, H, W) float32; the network runs once more.

        Raises:
            RuntimeError: for a prediction of an exported file, which gives no scores.
        """
        if self._compute is None:
            raise RuntimeError("an exported file gives no scores; load the checkpoint")
        return self._compute()

    def shares(self) -> dict[str, float]:
        """Return the share of pixels per class that occurs, the largest first."""
        return {self.classes.names[index]: share for index, share in self._present()}

    def _present(self) -> list[tuple[int, float]]:
        counts = np.bincount(self.label.ravel())
        present = sorted(counts.nonzero()[0], key=lambda index: -counts[index])
        return [(int(index), float(counts[index]) / self.label.size) for index in present]

    def overlay(self, alpha: float = 0.5) -> Image.Image:
        """Return the classes' colors over the image; `alpha` is their weight, 0 to 1."""
        return Image.fromarray(blend(self.image, self.colors(), alpha=alpha))

    def colors(self) -> np.ndarray:
        """Return the class colors, (H, W, 3) uint8."""
        colors: np.ndarray = self.classes.palette()[self.label]
        return colors

    def save(
        self,
        folder: str | Path,
        *,
        forms: Sequence[FormName] = DEFAULT,
        alpha: float = 0.5,
        tolerance: float = 1.0,
        overwrite: bool = False,
    ) -> None:
        """Write files to a folder, as `python -m pspnet predict` does.

        Args:
            folder: the folder; it is made.
            forms: the files, each in a folder of its name, see `prediction.forms`.
            alpha: weight of the colors in the overlay, 0 to 1.
            tolerance: pixels by which the border of a polygon may differ.
            overwrite: replace files that exist.

        Raises:
            UserError: if one of the files exists, unless `overwrite` is set.
        """
        options = Options(alpha, tolerance)
        PredictionFolder(Path(folder), forms=forms, options=options, overwrite=overwrite).write(
            self
        )

    def show(self) -> None:
        """Show the overlay with its legend: in a notebook below the cell, otherwise in a window."""
        try:
            from IPython import get_ipython  # type: ignore[import-not-found]
            from IPython.display import display  # type: ignore[import-not-found]
        except ImportError:
            notebook = False
        else:
            notebook = get_ipython() is not None
        if notebook:
            display(self)
        else:
            Image.open(io.BytesIO(self._repr_png_())).show()

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self._draw().savefig(drawn, format="png")
        return drawn.getvalue()

    def _draw(self) -> Figure:
        from pspnet.plotting.style import Entry, class_labels, figure, legend, legend_rows

        labels, colors = class_labels(self.classes.names), self.classes.colors
        entries = [
            Entry(f"{labels[index]} {share:.1%}", colors[index]) for index, share in self._present()
        ]
        height, width = self.label.shape
        rows = legend_rows(entries, width=WIDTH)
        drawn = figure(WIDTH, min(WIDTH * height / width, 2 * WIDTH) + 0.2 * rows + 0.2)
        axes = drawn.subplots()
        axes.imshow(self.overlay())
        axes.set_axis_off()
        legend(drawn, entries)
        return drawn


def blend(image: np.ndarray, colors: np.ndarray, *, alpha: float) -> np.ndarray:
    """Return alpha * colors + (1 - alpha) * image, rounded; all (H, W, 3) uint8."""
    mixed: np.ndarray = cv2.addWeighted(colors, alpha, image, 1 - alpha, 0)
    return mixed
