"""Corrupted labels hold the error that they are said to; rankings against torchmetrics."""

from functools import cached_property

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_average_precision

from benchmarks.corrupted_labels import KINDS, corrupt, regions
from benchmarks.label_errors import RANKINGS, Trial, average_precision, rows, trial


def label() -> np.ndarray:
    """Grass with a sky, a house that is partly in each, and a void border."""
    pixels = np.full((60, 80), 1, np.uint8)
    pixels[:24] = 0
    pixels[20:40, 30:50] = 2
    pixels[:, :2] = 255
    return pixels


@pytest.mark.parametrize("seed", range(5))
def test_a_swap_and_a_drop_change_one_region(seed):
    right, seen = label(), {}
    for kind in ("swap", "drop"):
        wrong = corrupt(right, kind, num_classes=5, generator=np.random.default_rng(seed))
        changed = wrong != right
        assert any(np.array_equal(changed, region) for region in regions(right))
        seen[kind] = {*wrong[changed].tolist()}
        assert len(seen[kind]) == 1
        assert not seen[kind] & {*right[changed].tolist(), 255}
    assert seen["drop"] <= {0, 1}  # what is around the house, and it around nothing for the most


def test_a_shift_moves_all_and_ignores_what_it_uncovers():
    right = label()
    wrong = corrupt(right, "shift", num_classes=3, generator=np.random.default_rng(3))
    moves = [
        (down, across)
        for down in range(-6, 7)
        for across in range(-6, 7)
        if np.array_equal(np.roll(right, (down, across), (0, 1))[6:-6, 6:-6], wrong[6:-6, 6:-6])
    ]
    ((down, across),) = moves
    assert 1 <= np.hypot(down, across) <= 6
    edge = wrong[:down] if down > 0 else wrong[down:]
    assert down == 0 or (edge == 255).all()


def test_a_label_without_regions_has_no_swap():
    flat = np.zeros((20, 20), np.uint8)
    assert corrupt(flat, "drop", num_classes=3, generator=np.random.default_rng(0)) is None


def test_average_precision_is_that_of_torchmetrics():
    generator = np.random.default_rng(0)
    values, wrong = generator.random(60), generator.random(60) < 0.2
    expected = binary_average_precision(torch.from_numpy(-values), torch.from_numpy(wrong).long())
    assert average_precision(wrong, values) == pytest.approx(float(expected))


class Known:
    """An image whose label's score says whether it was changed."""

    num_classes = 3

    def __init__(self, flat: bool = False):
        self.label = np.zeros_like(label()) if flat else label()

    @cached_property
    def clean(self):
        return self.rank(self.label)

    def rank(self, given):
        same = float(np.array_equal(given, self.label))
        return same, 1 - same, 0.5, 0.5


def test_errors_are_counted_by_kind_and_chance_is_the_share_of_errors():
    images = [Known() for _ in range(20)]
    found = trial(images, rate=0.2, seed=0)
    assert [(found.kinds == it).sum() for it in range(len(KINDS))] == [2, 1, 1]
    np.testing.assert_array_equal(found.found(0), [1, 1, 1, 1])
    np.testing.assert_array_equal(found.found(1), [0, 0, 0, 0])
    again = trial(images, rate=0.2, seed=0)
    np.testing.assert_array_equal(again.kinds, found.kinds)
    lines = [*rows(images, rate=0.2, seeds=3)]
    assert len(lines) == len(RANKINGS) + 1
    assert lines[0].startswith(f"| 4 of 20 | {RANKINGS[0]} | 100.0 ± 0.0 | 100.0 ± 0.0 |")
    assert lines[-1].startswith("| 4 of 20 | chance | 20.0 |")


def test_shares_of_kinds_by_hand():
    kinds = np.array([0, -1, 1, -1, 2, 0])
    values = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])[:, None]
    found = Trial(kinds, values).found(0)  # the first four hold a swap and a shift
    assert found == pytest.approx([2 / 4, 1 / 2, 1, 0])
