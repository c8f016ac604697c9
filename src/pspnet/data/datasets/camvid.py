"""CamVid in the form prepared for SegNet, 11 classes of driving scenes at 480×360."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from pspnet.data.datasets.base import Sample, Source, Split
from pspnet.data.datasets.classes import IGNORE, Classes, load_table
from pspnet.data.files import check_samples, read_list
from pspnet.errors import UserError
from pspnet.files.paths import is_file, local_path

VOID = 11


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
    """

    def __init__(self, root: str | Path = "data/camvid") -> None:
        self.root = local_path(root, option="root")

    @cached_property
    def classes(self) -> Classes:
        return load_table("camvid")

    def samples(self, split: Split) -> list[Sample]:
        listing = self.root / f"{split}.txt"
        return check_samples([self._sample(line, listing) for line in read_list(listing)], listing)

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
        # some copies of the data set have re-encoded images
        jpeg = image.with_name(f"{stem}.jpg")
        return Sample(stem, jpeg if is_file(jpeg) and not is_file(image) else image, label)
