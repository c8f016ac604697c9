"""The base class of data sets: classes, files, and the meaning of label values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from pspnet.data.channels import RGB, Channels
from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.data.label_io import LabelCode, read_label

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Server:
    """The archive that a benchmark's server takes: PNGs, each with the name of its image.

    Args:
        archive: suffix of the archive, which is its format.
        folder: folder of the PNGs below the archive's root, "" for the root itself.
        palette: True if the PNGs show the classes' colors by a palette; False for gray.
        size: height and width that every image must have, or None.
    """

    archive: Literal["zip", "tar.gz"] = "zip"
    folder: str = ""
    palette: bool = False
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Sample:
    """An image and its label on disk.

    Args:
        name: a relative path without suffix, unique within the split.
        image: the image file.
        label: the file with its label, or None where the split has no labels.
    """

    name: str
    image: Path
    label: Path | None


class Source(ABC):
    """A data set on disk; a subclass is chosen by its class path as `data.source`.

    A subclass defines `classes` and `samples`; all other members have defaults. The constructor's
    parameters are the options. It reads nothing, so that a configuration can be loaded on a
    machine without the files; `prepare` and `samples` check them (see
    `pspnet.data.files.check_samples`).

    Attributes:
        base_size: long side in pixels to which the paper's tests resize an image of this data set;
            None leaves images at their own size.
        origin: where train and val come from, once they are listed; may be "".
        channels: of the images; `SegmentationData` sets them.
        notes: lines on files that are not used, once the splits are listed.
    """

    base_size: int | None = None
    origin: str = ""
    channels: Channels = RGB
    notes: Sequence[str] = ()

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        for name in ("classes", "samples"):
            missing = getattr(getattr(cls, name), "__isabstractmethod__", False)
            if missing and ABC not in cls.__bases__:  # Python itself names it on construction only
                raise TypeError(f"{cls.__name__} must define {name!r}, see pspnet.data.Source")

    @property
    @abstractmethod
    def classes(self) -> Classes:
        """The classes in the order of the train ids that `train_ids` maps to."""

    @abstractmethod
    def samples(self, split: Split) -> list[Sample]:
        """List the files of a split, in the order of its list.

        Raises:
            UserError: if a file is missing, the split is empty, or a name occurs twice.
        """

    def prepare(self) -> None:
        """Create files that can be created and are absent; called in one process, first of all."""
        return

    @property
    def server(self) -> Server | None:
        """The server that scores the test split, whose labels are withheld; None without one."""
        return None

    def train_ids(self) -> np.ndarray:
        """Return the train id of each label value, (256,) int16: 0 to C-1, 255 ignored, -1 refused.

        By default label values are train ids.
        """
        table = np.full(256, -1, np.int16)
        table[: len(self.classes)] = np.arange(len(self.classes))
        table[IGNORE] = IGNORE
        return table

    @cached_property
    def label_code(self) -> LabelCode:
        """The meaning of pixels in label files; by default that of values by `train_ids`."""
        return LabelCode(self.train_ids())

    def read_label(self, sample: Sample) -> np.ndarray:
        """Read the train ids of a sample's label, (H, W) uint8, by `label_code`.

        Raises:
            UserError: if the file cannot be read, or holds what the code refuses.
        """
        assert sample.label is not None
        return read_label(sample.label, self.label_code)

    def read_weight(self, sample: Sample, size: tuple[int, ...]) -> np.ndarray | None:
        """Read what each pixel of a sample counts in an evaluation, (H, W) float32.

        None, the default, counts each as 1.

        Args:
            sample: with a label.
            size: (H, W) of its label.

        Raises:
            UserError: if the file cannot be read, or is of another size.
        """
        return None

    def predicted_ids(self) -> np.ndarray:
        """Return the train id of each value in a prediction file that the benchmark scores.

        (256,) int16: 0 to C-1, 255 for values that are accepted and name no class, -1 for those
        that are refused. By default values are train ids.
        """
        table = np.full(256, -1, np.int16)
        table[: len(self.classes)] = np.arange(len(self.classes))
        return table

    def stored_values(self) -> np.ndarray:
        """Return the value of each train id in a prediction file, the inverse of `predicted_ids`.

        (C,) uint8.
        """
        table = self.predicted_ids()
        values = np.flatnonzero((table >= 0) & (table != IGNORE))
        return values[table[values].argsort()].astype(np.uint8)
