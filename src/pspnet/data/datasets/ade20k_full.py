"""The full release of ADE20K of 2021, reduced to the 150 classes of the scene parsing challenge."""

from __future__ import annotations

from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np

from pspnet.data.datasets.base import Sample, Source, Split
from pspnet.data.datasets.classes import IGNORE, Classes, load_table
from pspnet.data.files import check_samples, find_files, refuse_strays, require
from pspnet.data.image_io import decode, read_bytes
from pspnet.data.label_io import LabelCode
from pspnet.errors import UserError
from pspnet.files.paths import local_path

OBJECTS = 3688  # of the release's index


class ADE20KFull(Source):
    """ADE20K's full release with its 150 most frequent objects as classes; others are ignored.

    `root` is this folder, or the one that holds it as `ADE20K_2021_17_01`:

        root/images/ADE/{training,validation}/urban/street/
            ADE_train_00016869.jpg    ADE_train_00016869_seg.png

    Red and green of a label name the object, `R // 10 * 256 + G`, as in `loadAde20K` of
    github.com/CSAILVision/ADE20K, utils/utils_ade20k.py. The table of objects and classes is
    `convertFromADE/mapFromADE.txt` of github.com/CSAILVision/sceneparsing. Images keep their size,
    where the challenge's have at most 512 pixels on their short side. There is no test split.
    """

    base_size = 512

    def __init__(self, root: str | Path = "data/ade20k_full") -> None:
        self.root = local_path(root, option="root")

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Return whether the folders of the full release are there."""
        return (_base(root) / "images/ADE/training").is_dir()

    @cached_property
    def classes(self) -> Classes:
        return load_table("ade20k")

    def samples(self, split: Split) -> list[Sample]:
        if split == "test":
            raise UserError("ADE20K's full release has no test split; use validation's")
        folder = {"train": "training", "val": "validation"}[split]
        images = _base(self.root) / "images/ADE" / folder
        require(images, f"ADE20K's {folder} images and labels")
        files = find_files(images, (".jpg", "_seg.png"))
        samples = [
            Sample(path.stem, path, path.with_name(f"{path.stem}_seg.png"))
            for path in files
            if path.suffix.lower() == ".jpg"
        ]
        check_samples(samples, images)
        refuse_strays([path for path in files if path.suffix.lower() != ".jpg"], samples)
        return samples

    @cached_property
    def label_code(self) -> LabelCode:
        return LabelCode(self.train_ids(), drawn=("full",))

    def read_label(self, sample: Sample) -> np.ndarray:
        assert sample.label is not None
        path = sample.label
        image = decode(path, read_bytes(path), upright=True)
        if image.format != "PNG" or image.mode != "RGB":
            raise UserError(
                f"{path} is no PNG in RGB, as the release's labels are; unpack it again"
            )
        red, green, _ = (np.asarray(channel).astype(np.int32) for channel in image.split())
        objects = red // 10 * 256 + green
        label: np.ndarray = self._table[objects]
        if label.min() < 0:
            raise UserError(
                f"{path} names the object {objects.max()}, but the release has {OBJECTS}; unpack it"
                " again"
            )
        return label.astype(np.uint8, copy=False)

    @cached_property
    def _table(self) -> np.ndarray:
        """Return the train id of each object, (6656,) int16, 255 ignored, -1 refused."""
        table = np.full(26 * 256, -1, np.int16)
        table[: OBJECTS + 1] = IGNORE
        names = self.classes.names
        text = resources.files(__package__).joinpath("tables/ade20k_full.txt").read_text("utf-8")
        for line in text.splitlines():
            number, name = line.split(maxsplit=1)
            table[int(number)] = names.index(name)
        return table


def _base(root: Path) -> Path:
    unpacked = root / "ADE20K_2021_17_01"
    return unpacked if unpacked.is_dir() else root
