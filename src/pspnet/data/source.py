"""What every data set answers: its classes, its files, the meaning of its label values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pspnet.data.classes import IGNORE, Classes

Split = Literal["train", "val", "test"]


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
    """

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

    def train_ids(self) -> np.ndarray:
        """Train id of each stored label value, (256,) int16: 0 to C-1, 255 ignored, -1 refused."""
        table = np.full(256, -1, np.int16)
        table[: len(self.classes)] = np.arange(len(self.classes))
        table[IGNORE] = IGNORE
        return table
