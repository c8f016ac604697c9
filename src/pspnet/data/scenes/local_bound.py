"""The best mIoU that local appearance allows on the built-in scenes.

python -m pspnet.data.scenes.local_bound data/scenes

Some pixels look alike in every small window though their classes differ. A classifier that sees
such a window and nothing else can at best know all other pixels and answer among the look-alikes by
lot, the same way everywhere; the best lot gives the bound. What a network has above it, it has
from context.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from pspnet.data.datasets.base import Split
from pspnet.data.datasets.classes import IGNORE
from pspnet.data.scenes.dataset import SPLITS, Scenes, load_scenes
from pspnet.data.scenes.layout import Scene
from pspnet.data.scenes.render import CLASSES, paint
from pspnet.errors import UserError

SETS = (("boat", "car"), ("city", "farm"), ("sheep", "hare", "meadow"))
ROUNDS, STEPS = 12, 20  # of the search for the best lot


@dataclass(frozen=True)
class Bound:
    """What a local classifier can reach at best.

    Args:
        iou: expected IoU of each class, (C,).
        lots: probability of each answer in each set of look-alikes, in the order of `SETS`.
    """

    iou: np.ndarray
    lots: tuple[np.ndarray, ...]

    @property
    def miou(self) -> float:
        """Mean over the classes."""
        return float(self.iou.mean())


def local_bound(source: Scenes, split: Split) -> Bound:
    """The bound for a split, from scenes composed anew; nothing is read from disk."""
    alike = np.zeros((len(SETS), len(CLASSES)), np.int64)
    pixels = np.zeros(len(CLASSES), np.int64)
    for index in range(source.counts[split]):
        scene = source.scene(split, index)
        _, label = paint(scene)
        pixels += _count(label)
        for row, mask in enumerate(look_alikes(scene)):
            alike[row] += _count(label[mask])
    iou, lots = np.ones(len(CLASSES)), []
    for row, names in enumerate(SETS):
        members = [CLASSES.names.index(name) for name in names]
        inside = alike[row, members]
        lot = best_lot(inside, pixels[members] - inside)
        iou[members] = expected_iou(lot, inside, pixels[members] - inside)
        lots.append(lot)
    return Bound(iou=iou, lots=tuple(lots))


def look_alikes(scene: Scene) -> list[np.ndarray]:
    """The pixels of each set of `SETS`, (H, W) bool: what looks like the set's first member."""
    _, label = paint(replace(scene, end="water", many=True, keepers=("barn", "barn")))
    return [label == CLASSES.names.index(names[0]) for names in SETS]


def expected_iou(lot: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """IoU of each member of a set of look-alikes if it is answered with the probability `lot`.

    Args:
        lot: probabilities, (..., M).
        inside: pixels of each member in the set, (M,).
        outside: pixels of each member's class elsewhere, which are all told rightly, (M,).
    """
    right = outside + lot * inside
    union = outside + inside + lot * (inside.sum() - inside)
    iou: np.ndarray = right / np.maximum(union, 1)
    return iou


def best_lot(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """The probabilities, (M,), with the greatest sum of expected IoU, searched on finer grids."""
    members = len(inside)
    center, reach = np.full(members - 1, 0.5), 0.5
    best: np.ndarray = np.eye(members)[0]
    for _ in range(ROUNDS):
        axes = [np.linspace(c - reach, c + reach, STEPS + 1).clip(0, 1) for c in center]
        free = np.array(list(product(*axes)))
        lots = np.column_stack([free, 1 - free.sum(1)])
        lots = lots[lots[:, -1] >= 0]
        best = lots[expected_iou(lots, inside, outside).sum(1).argmax()]
        center, reach = best[:-1], reach * 4 / STEPS
    return best


def _count(label: np.ndarray) -> np.ndarray:
    return np.bincount(label[label != IGNORE], minlength=len(CLASSES))


def main(arguments: list[str]) -> None:
    """Prints the bound of each split of the scenes in a folder."""
    if len(arguments) != 1:
        raise SystemExit("usage: python -m pspnet.data.scenes.local_bound ROOT")
    try:
        source = load_scenes(Path(arguments[0]))
    except UserError as error:
        raise SystemExit(str(error)) from None
    for split in SPLITS:
        bound = local_bound(source, split)
        print(f"{split}: mIoU at most {bound.miou:.4f} from windows")
        for group, names in CLASSES.groups.items():
            iou = bound.iou[[CLASSES.names.index(name) for name in names]]
            each = ", ".join(f"{name} {value:.4f}" for name, value in zip(names, iou, strict=True))
            print(f"  {group}: {iou.mean():.4f} ({each})")


if __name__ == "__main__":
    main(sys.argv[1:])
