"""A user's own data set by lists of image and label files, as semseg's configurations name them."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import numpy as np

from pspnet.data.datasets.base import Sample, Source, Split
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.own_data.class_files import read_class_file, read_names
from pspnet.data.datasets.own_data.split_lists import columns
from pspnet.data.files import check_samples, read_list, require_root
from pspnet.data.label_io import LabelCode
from pspnet.errors import Findings, UserError
from pspnet.files.paths import is_file, local_path


class FileLists(Source):
    """A user's own data set: a list of each split, one image and its label per line.

        leftImg8bit/train/aachen/a.png gtFine/train/aachen/a_labelTrainIds.png

    Paths are below `root`, or absolute. Behind the image follow a space, tab, comma or semicolon
    and its label; the lines of the test list may name the image alone. Label values are the indices
    of the classes, 255 is ignored; `classes.yaml` in the root can say otherwise, see docs/DATA.md.

    Args:
        root: the folder that paths begin from, semseg's `data_root`.
        train_list: the list of the training split.
        val_list: that of the validation split.
        test_list: that of the test split, or None.
        names: a file with a class name per line, semseg's `names_path`; None reads the classes from
            `classes.yaml` or another class file in the root.
        colors: a file with red, green and blue of a class per line, semseg's `colors_path`; None
            takes colors that differ.
    """

    def __init__(
        self,
        root: str | Path = "data/folder",
        *,
        train_list: str | Path | None = None,
        val_list: str | Path | None = None,
        test_list: str | Path | None = None,
        names: str | Path | None = None,
        colors: str | Path | None = None,
    ) -> None:
        self.root = local_path(root, option="root")
        given = {"train_list": train_list, "val_list": val_list, "test_list": test_list}
        given |= {"names": names, "colors": colors}
        paths = {k: None if v is None else local_path(v, option=k) for k, v in given.items()}
        self.names, self.colors = paths.pop("names"), paths.pop("colors")
        if self.colors is not None and self.names is None:
            raise UserError(f"colors={colors}: needs the classes' names too; give names=FILE")
        self.lists = paths

    @cached_property
    def classes(self) -> Classes:
        return self._described[0]

    @cached_property
    def label_code(self) -> LabelCode:
        return self._described[1]

    def train_ids(self) -> np.ndarray:
        return self.label_code.values[:256].copy()

    def samples(self, split: Split) -> list[Sample]:
        listing = self.lists[f"{split}_list"]
        if listing is None:
            raise UserError(
                f"data.source.{split}_list is missing: give the list of {split} images, a line is"
                " an image and its label"
            )
        samples, wrong = [], []
        for line in read_list(listing):
            try:
                samples.append(self._sample(line, needs_label=split != "test"))
            except UserError as error:
                wrong.append(f"{listing} {error}")
        if wrong:
            require_root(self.root)
            raise Findings(wrong)
        return check_samples(samples, listing)

    def _sample(self, line: str, *, needs_label: bool) -> Sample:
        for image, label in columns(line):
            path = self._path(image)
            if not is_file(path):
                continue
            if needs_label and not label:
                raise UserError(f"names no label of {image!r}; write it behind, after a space")
            # without .., and with links as they are
            plain, root = (Path(os.path.abspath(it)) for it in (path, self.root))  # noqa: PTH100
            below = plain.relative_to(root) if plain.is_relative_to(root) else plain
            name = below.with_suffix("").as_posix().lstrip("/")
            return Sample(name, path, self._path(label) if label else None)
        raise UserError(
            f"names {line!r}, but there is no such image; write paths below {self.root}"
        )

    def _path(self, text: str) -> Path:
        """Return the file that a list names; DeepLab's lists begin paths below the root with /."""
        path = self.root / text
        return path if is_file(path) else self.root / text.lstrip("/")

    @cached_property
    def _described(self) -> tuple[Classes, LabelCode]:
        if self.names is None:
            return read_class_file(self.root)
        return read_names(self.names, self.colors)
