"""Instance annotations in COCO's format, of COCO itself and of annotation tools."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from pspnet.data.datasets.base import Sample
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.exports.coco_files import Index, find_annotations, read_index
from pspnet.data.datasets.exports.drawn import DrawnData, drawn_classes
from pspnet.data.datasets.exports.json_fields import Field
from pspnet.data.datasets.exports.runs import draw_runs, polygon_runs, read_runs
from pspnet.data.datasets.exports.shapes import check_place
from pspnet.data.datasets.own_data.base import Entry
from pspnet.data.image_io import check_memory


class COCO(DrawnData):
    """Images whose instances are polygons or run lengths in a COCO file, drawn by their category.

        root/
            annotations/instances_train2017.json  instances_val2017.json   or instances_default.json
            images/train2017/   images/val2017/       or below root, or all in images/

    or Roboflow's export, an `_annotations.coco.json` in `train/`, `valid/` and `test/` beside the
    images, or one file for all: `result.json` of Label Studio with `images/`, `labels.json` of
    FiftyOne with `data/`. The format is that of cocodataset.org/#format-data; polygons are drawn by
    its own `pycocotools`. The data set is what the files list; other images are left alone.

    Classes are the categories by ascending id. A category that has no annotation and is only the
    supercategory of others, as Roboflow writes one, is left out. `iscrowd` makes no difference, as
    a crowd of persons is of the class person. Boxes without a segmentation are refused.
    """

    @staticmethod
    def recognizes(root: Path) -> bool:
        """Return whether there are annotation files of these names."""
        return bool(find_annotations(root))

    @cached_property
    def classes(self) -> Classes:
        return drawn_classes(self.root, [*self._index.categories.values()])

    def entries(self) -> list[Entry]:
        if self._index.dropped:
            names = ", ".join(self._index.dropped)
            self.notes.append(f"{names}: only a supercategory of others, and no class")
        return [picture.entry for picture in self._index.pictures.values()]

    def read_label(self, sample: Sample) -> np.ndarray:
        picture, numbers = self._index.pictures[sample.name], [*self._index.categories]
        height, width = picture.size
        check_memory(sample.image, width, height)
        columns = np.full(width * height, self.background, np.uint8)
        first = len(self.classes) - len(numbers)  # 1 where the background is no category
        for category, segmentation in picture.shapes:
            train_id = first + numbers.index(category)
            for runs in _runs(segmentation, picture.size):
                draw_runs(columns, runs, train_id)
        return np.ascontiguousarray(columns.reshape(width, height).T)

    @cached_property
    def _index(self) -> Index:
        return read_index(self.root)


def _runs(segmentation: Field, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield the run lengths of each part of a segmentation."""
    if isinstance(segmentation.value, dict):
        yield read_runs(segmentation, size)
        return
    for points in segmentation.value:
        check_place(segmentation, points, size)
        yield polygon_runs(points, size)
