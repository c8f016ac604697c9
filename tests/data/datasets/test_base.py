"""The values of predictions, for every data set."""

from pathlib import Path

import numpy as np

from pspnet.data.datasets.base import Sample, Source, Split
from pspnet.data.datasets.classes import IGNORE, Classes


class Shuffled(Source):
    """Three classes, stored as 9, 4 and 200; 0 is no class."""

    @property
    def classes(self) -> Classes:
        return Classes(("a", "b", "c"), ((0, 0, 0),) * 3)

    def samples(self, split: Split) -> list[Sample]:
        return [Sample("x", Path("x.png"), None)]

    def predicted_ids(self) -> np.ndarray:
        table = np.full(256, -1, np.int16)
        table[[9, 4, 200, 0]] = 0, 1, 2, IGNORE
        return table


def test_stored_values_are_in_the_order_of_the_train_ids() -> None:
    assert Shuffled().stored_values().tolist() == [9, 4, 200]
    assert Shuffled().stored_values().dtype == np.uint8


def test_without_a_word_of_its_own_a_source_stores_train_ids() -> None:
    assert Source.predicted_ids(Shuffled()).tolist() == [0, 1, 2] + [-1] * 253
    assert Shuffled().server is None
