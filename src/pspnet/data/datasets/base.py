"""What every data set answers: its classes, its files, the meaning of its label values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pspnet.data.datasets.classes import IGNORE, Classes

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Server:
    """What a benchmark's server takes: one archive of PNGs, each named as its image is.

    Args:
        archive: the archive's suffix, which is its format.
        folder: the PNGs' folder below the archive's root, "" for the root itself.
        palette: whether the PNGs show the classes' colors by a palette; else they are gray.
        size: height and width that every image must have, or None.
    """

    archive: Literal["zip", "tar.gz"] = "zip"
    folder: str = ""
    palette: bool = False
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Sample:
    """One image and its labels on disk.

    Args:
        name: unique within the split, a relative path without suffix.
        image: the image file.
        label: the label image, or None where the split has no labels.
    """

    name: str
    image: Path
    label: Path | None


class Source(ABC):
    """A data set on disk.

    Construction reads nothing, so that a source can stand in a configuration on a machine that does
    not hold its files. `prepare` and `samples` check the layout.

    Attributes:
        base_size: long side in pixels to which the paper's tests resize an image of this data set;
            None leaves it its own size.
    """

    base_size: int | None = None

    @property
    @abstractmethod
    def classes(self) -> Classes:
        """The classes in the order of the train ids that `train_ids` maps to."""

    @abstractmethod
    def samples(self, split: Split) -> list[Sample]:
        """The split's files, sorted as its list has them.

        Raises:
            FileNotFoundError: naming the first path that the layout lacks.
            ValueError: if the split is empty, or its list names a file twice.
        """

    def prepare(self) -> None:
        """Makes on disk what can be made and is absent; called in one process, before `samples`."""
        return

    @property
    def server(self) -> Server | None:
        """The server that scores the test split, whose labels are kept back; None without one."""
        return None

    def train_ids(self) -> np.ndarray:
        """Train id of each stored label value, (256,) int16: 0 to C-1, 255 ignored, -1 refused."""
        table = np.full(256, -1, np.int16)
        table[: len(self.classes)] = np.arange(len(self.classes))
        table[IGNORE] = IGNORE
        return table

    def predicted_ids(self) -> np.ndarray:
        """Train id of each value in a prediction, as the benchmark's scorer takes it.

        (256,) int16: 0 to C-1, 255 for values that are accepted and name no class, -1 for those
        that are refused.
        """
        table = np.full(256, -1, np.int16)
        table[: len(self.classes)] = np.arange(len(self.classes))
        return table

    def stored_values(self) -> np.ndarray:
        """The value of each train id in a prediction, (C,) uint8: `predicted_ids` turned round."""
        table = self.predicted_ids()
        values = np.flatnonzero((table >= 0) & (table != IGNORE))
        return values[table[values].argsort()].astype(np.uint8)
