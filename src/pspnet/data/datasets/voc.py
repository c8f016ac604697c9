"""PASCAL VOC 2012 segmentation, 20 classes and background, with the augmented training list."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

from pspnet.data.datasets.base import Sample, Server, Source, Split
from pspnet.data.datasets.classes import IGNORE, Classes, load_table
from pspnet.data.datasets.sbd import build_train_aug
from pspnet.data.files import check_samples, read_stems, require
from pspnet.data.label_io import LabelCode
from pspnet.errors import UserError
from pspnet.files.paths import local_path

LISTS = "ImageSets/Segmentation"
BORDER = (224, 224, 192)  # the color of 255 in VOC's palette


class VOC(Source):
    """PASCAL VOC 2012; label values 0 to 20 are the train ids, 255 marks borders and is ignored.

    `root` is the folder that holds VOCdevkit, VOCdevkit itself, or VOC2012:

        VOCdevkit/VOC2012/
            ImageSets/Segmentation/   train.txt val.txt trainval.txt test.txt train_aug.txt
            JPEGImages/               2007_000032.jpg
            SegmentationClass/        2007_000032.png
            SegmentationClassAug/     2008_000002.png    labels of train_aug that train lacks

    The augmented list (also read from `trainaug.txt`) is built by `prepare` from the SBD release.
    Images of VOC's own training list keep VOC's own labels. The test split has no labels.

    Args:
        root: the folder above.
        train_split: list to train on; the paper's VOC results rest on train_aug (section 5.3).
        val_split: list to validate on; a list that shares images with the training list does not
            measure generalization.
        sbd_root: the unpacked SBD release; needed only until train_aug is built.
    """

    base_size = 512

    def __init__(
        self,
        root: str | Path = "data/voc",
        *,
        train_split: Literal["train", "trainval", "train_aug"] = "train_aug",
        val_split: Literal["val", "train", "trainval"] = "val",
        sbd_root: str | Path | None = None,
    ) -> None:
        self.root = local_path(root, option="root")
        self.train_split = train_split
        self.val_split = val_split
        self.sbd_root = None if sbd_root is None else local_path(sbd_root, option="sbd_root")

    @cached_property
    def classes(self) -> Classes:
        return load_table("voc2012")

    @cached_property
    def label_code(self) -> LabelCode:
        """Values, and the colors of VOC's palette: tools that shrink PNGs reorder palettes."""
        colors = {color: train_id for train_id, color in enumerate(self.classes.colors)}
        return LabelCode(self.train_ids(), colors={**colors, BORDER: IGNORE})

    @property
    def server(self) -> Server:
        """The server of competition 6, which allows any training data."""
        folder = "results/VOC2012/Segmentation/comp6_test_cls"
        return Server(archive="tar.gz", folder=folder, palette=True)

    def prepare(self) -> None:
        """Build the augmented list and its labels if it is trained on, absent, and SBD is given.

        Raises:
            UserError: if VOC or SBD lacks a path, or the list has other than 10,582 images.
        """
        if self.train_split == "train_aug" and self.sbd_root is not None:
            base = self._base()
            if not self._augmented_list(base).exists():
                build_train_aug(base, self.sbd_root)

    def samples(self, split: Split) -> list[Sample]:
        base = self._base()
        if split == "train" and self.train_split == "train_aug":
            return self._augmented(base)
        name = {"train": self.train_split, "val": self.val_split, "test": "test"}[split]
        listing = base / LISTS / f"{name}.txt"
        folder = None if split == "test" else "SegmentationClass"
        samples = [_sample(base, stem, folder) for stem in read_stems(listing)]
        return check_samples(samples, listing)

    def _base(self) -> Path:
        candidates = (self.root / "VOCdevkit/VOC2012", self.root / "VOC2012", self.root)
        for base in candidates:
            if (base / "JPEGImages").is_dir():
                return base
        require(self.root, "the folder with VOCdevkit/VOC2012")
        return require(candidates[0] / "JPEGImages", "the folder of VOC's images").parent

    def _augmented_list(self, base: Path) -> Path:
        other = base / LISTS / "trainaug.txt"
        return other if other.exists() else base / LISTS / "train_aug.txt"

    def _augmented(self, base: Path) -> list[Sample]:
        listing = self._augmented_list(base)
        require(
            listing,
            "the augmented training list; give sbd_root, the unpacked SBD release, to build it, or"
            " set train_split to train",
        )
        stems = read_stems(listing)
        leaked = sorted(set(stems) & set(read_stems(base / LISTS / "val.txt")))
        if leaked:
            raise UserError(
                f"{listing} names {len(leaked)} images of val.txt, first {leaked[0]!r};"
                " remove them, as validation on training images measures no generalization"
            )
        own = set(read_stems(base / LISTS / "train.txt"))
        folders = ("SegmentationClassAug", "SegmentationClass")
        return check_samples([_sample(base, stem, folders[stem in own]) for stem in stems], listing)


def _sample(base: Path, stem: str, labels: str | None) -> Sample:
    label = None if labels is None else base / labels / f"{stem}.png"
    return Sample(stem, base / "JPEGImages" / f"{stem}.jpg", label)
