"""CamVid, 11 classes of driving scenes: prepared for SegNet, or in colors of 32 classes."""

from __future__ import annotations

from functools import cached_property
from importlib import resources
from pathlib import Path, PurePosixPath

import numpy as np

from pspnet.data.datasets.base import Sample, Source, Split
from pspnet.data.datasets.classes import IGNORE, Classes, load_table
from pspnet.data.files import check_samples, find_files, read_list, refuse_strays
from pspnet.data.label_io import Color, LabelCode
from pspnet.errors import UserError
from pspnet.files.paths import is_file, local_path

VOID = 11
ORIGINAL = ("701_StillsRaw_full", "LabeledApproved_full")  # folders of the original release


class CamVid(Source):
    """CamVid with SegNet's 11 classes; label value 11 is void and is ignored.

        root/
            train.txt  val.txt  test.txt
            train/     trainannot/     0001TP_006690.png, the image or .jpg
            val/       valannot/
            test/      testannot/

    A line of a list is a stem, or the two paths of the image and its label, as in SegNet's release
    (`/SegNet/CamVid/train/NAME.png /SegNet/CamVid/trainannot/NAME.png`); of each path the folder
    and the file name are looked up below `root`.

    Labels may also have the colors of CamVid's 32 classes, as in the original release, to which
    SegNet's lists are added, and in a form of it without lists that is common on Kaggle:

        root/
            train.txt  val.txt  test.txt        701_StillsRaw_full/0001TP_006690.png
                                                LabeledApproved_full/0001TP_006690_L.png
        root/
            {train,val,test}/0001TP_006690.png  {train,val,test}_labels/0001TP_006690_L.png

    They are reduced to the 11 classes as SegNet does, and void is ignored. The grouping is that of
    `camvidPixelLabelIDs` in MathWorks' example "Semantic Segmentation Using Deep Learning"; it is
    in `tables/camvid32.txt`.
    """

    def __init__(self, root: str | Path = "data/camvid") -> None:
        self.root = local_path(root, option="root")

    @cached_property
    def classes(self) -> Classes:
        return load_table("camvid")

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Return whether the folders or colors of CamVid are there."""
        if (root / "train_labels").is_dir():  # the name of its folder is common
            colors = root / "class_dict.csv"
            return is_file(colors) and b"CartLuggagePram" in colors.read_bytes()
        return (root / ORIGINAL[1]).is_dir() or (root / "trainannot").is_dir()

    def samples(self, split: Split) -> list[Sample]:
        labels = self.root / f"{split}_labels"
        if labels.is_dir():
            images = find_files(self.root / split, (".png", ".jpg"), depth=0)
            samples = [Sample(it.stem, it, labels / f"{it.stem}_L.png") for it in images]
            refuse_strays(find_files(labels, ".png", depth=0), samples)
            return check_samples(samples, self.root / split)
        listing = self.root / f"{split}.txt"
        return check_samples([self._sample(line, listing) for line in read_list(listing)], listing)

    @cached_property
    def label_code(self) -> LabelCode:
        folders = [self.root / name for name in (ORIGINAL[1], "train_labels", "val_labels")]
        colors = original_colors() if any(it.is_dir() for it in folders) else None
        return LabelCode(self.train_ids(), colors=colors)

    def train_ids(self) -> np.ndarray:
        table = super().train_ids()
        table[VOID] = IGNORE
        return table

    def predicted_ids(self) -> np.ndarray:
        """Return the train ids of the stored values; void is accepted and is no class."""
        table = super().predicted_ids()
        table[VOID] = IGNORE
        return table

    def _sample(self, line: str, listing: Path) -> Sample:
        split = listing.stem
        paths = [PurePosixPath(text) for text in line.split()]
        if len(paths) == 1 and len(paths[0].parts) == 1:
            stem = line
            image, label = self.root / split / f"{stem}.png", self.root / f"{split}annot/{stem}.png"
        elif len(paths) == 2 and all(
            len(path.parts) > 1 and ".." not in path.parts for path in paths
        ):
            stem = paths[0].stem
            image, label = (self.root / path.parent.name / path.name for path in paths)
        else:
            raise UserError(
                f"{listing} has the line {line!r}; write a stem, or the paths of image and label"
            )
        if (self.root / ORIGINAL[1]).is_dir():
            image, label = (self.root / name for name in ORIGINAL)
            image, label = image / f"{stem}.png", label / f"{stem}_L.png"
        # some copies of the data set have re-encoded images
        jpeg = image.with_name(f"{stem}.jpg")
        return Sample(stem, jpeg if is_file(jpeg) and not is_file(image) else image, label)


def original_colors() -> dict[Color, int]:
    """Return the train id of each of the 32 colors of the original release, 255 for void."""
    names = load_table("camvid").names
    colors = {}
    text = resources.files(__package__).joinpath("tables/camvid32.txt").read_text("utf-8")
    for line in text.splitlines():
        red, green, blue, _, group = line.split()
        color = int(red), int(green), int(blue)
        colors[color] = names.index(group) if group in names else IGNORE
    return colors
