"""A user's own images and masks in folders, with the classes in a file beside them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from pspnet.data.datasets.base import Sample
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.own_data.base import Entry, OwnData
from pspnet.data.datasets.own_data.class_files import read_class_file
from pspnet.data.datasets.own_data.layout import Layout, find_layout, find_pairs, missing_mask
from pspnet.data.files import find_files
from pspnet.data.label_io import LabelCode
from pspnet.data.weights import FOLDER, WEIGHT_SUFFIXES, read_weights, weight_file


class Folder(OwnData):
    """A user's own data set; a mask is an image file of class indices or of the classes' colors.

        root/
            classes.yaml   or class_dict.csv, labelmap.txt, label_colors.txt, _classes.csv
            images/        any/subfolders/a.jpg    or .jpeg .png .bmp .tif .tiff .webp
            masks/         any/subfolders/a.png    or .bmp .tif .tiff .gif, at its image's path
            train.txt  val.txt  test.txt           optional, one `any/subfolders/a` per line
        weights/       any/subfolders/a.png    optional: what each pixel counts in an evaluation

    `images/train/`, `train/images/` and `train/` beside `train_masks/` are read, too, as are the
    other names in `pspnet.data.datasets.own_data.layout`, and lists in the forms of other tools.
    docs/DATA.md has them in one table, and the keys of `classes.yaml`.

    Args:
        root: the folder above.
        val_fraction: share of images to validate on, between 0 and 1, both excluded, where neither
            lists nor folders divide them.
        seed: seed of the division.
        group: a regular expression that finds, in an image's name, what must not be divided, such
            as a video or a patient: its first group in parentheses, or all of what it matches.
        folds: the number of folds for cross-validation; None divides by `val_fraction`.
        fold: the fold to validate on, 0 to `folds` - 1.
        images: the folder of images below `root`, in which {split} stands for a split's folder;
            None looks for it.
        masks: the folder of masks, likewise.
        mask_suffix: what the name of a mask has more than that of its image, as _mask; None is
            nothing, or _mask where images and masks share a folder.

    Raises:
        UserError: if an option is out of range.
    """

    def __init__(
        self,
        root: str | Path = "data/folder",
        *,
        val_fraction: float = 0.2,
        seed: int = 0,
        group: str | None = None,
        folds: int | None = None,
        fold: int = 0,
        images: str | None = None,
        masks: str | None = None,
        mask_suffix: str | None = None,
    ) -> None:
        super().__init__(
            root, val_fraction=val_fraction, seed=seed, group=group, folds=folds, fold=fold
        )
        self.images, self.masks, self.mask_suffix = images, masks, mask_suffix

    @cached_property
    def classes(self) -> Classes:
        return self._described[0]

    @cached_property
    def label_code(self) -> LabelCode:
        return self._described[1]

    def train_ids(self) -> np.ndarray:
        return self.label_code.values[:256].copy()

    def entries(self) -> list[Entry]:
        found, splits = find_pairs(self.root, self._layout())
        if found.unread:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in found.unread.most_common())
            self.notes.append(f"{self.root}: files that are not read as images or masks: {kinds}")
        return [
            Entry(name, image, found.masks.get(name), splits.get(name))
            for name, image in sorted(found.images.items())
        ]

    def read_weight(self, sample: Sample, size: tuple[int, ...]) -> np.ndarray | None:
        if not self._has_weights:
            return None
        return read_weights(weight_file(self.root / FOLDER, sample.name), size)

    def missing_label(self, entry: Entry) -> str:
        return missing_mask(self.root, self._layout(), entry.name, entry.image)

    def _layout(self) -> Layout:
        return find_layout(self.root, images=self.images, masks=self.masks, suffix=self.mask_suffix)

    @cached_property
    def _has_weights(self) -> bool:
        folder = self.root / FOLDER  # which may hold a network's weights, too
        return folder.is_dir() and bool(find_files(folder, WEIGHT_SUFFIXES))

    @cached_property
    def _described(self) -> tuple[Classes, LabelCode]:
        return read_class_file(self.root)
