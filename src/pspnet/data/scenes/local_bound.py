"""The best mIoU that local appearance allows on the built-in scenes.

python -m pspnet.data.scenes.local_bound data/scenes

Some pixels look alike in every small window though their classes differ. A classifier that sees
only such a window can at best know all other pixels and guess among the look-alikes, with the same
probabilities everywhere; the best probabilities give the bound. Any mIoU above it comes from
context.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from pspnet.data.datasets.base import Split
from pspnet.data.datasets.classes import IGNORE
from pspnet.data.scenes.dataset import SPLITS, Scenes, load_scenes
from pspnet.data.scenes.layout import Scene
from pspnet.data.scenes.render import CLASSES, render
from pspnet.errors import Parser, one_line_errors

LOOK_ALIKES = (("boat", "car"), ("city", "farm"), ("sheep", "hare", "meadow"))
ROUNDS, STEPS = 12, 20  # of the search for the best probabilities


@dataclass(frozen=True)
class Bound:
    """The best scores of a local classifier.

    Args:
        iou: expected IoU per class, (C,).
        guesses: probability of each answer per set of look-alikes, in the order of `LOOK_ALIKES`.
    """

    iou: np.ndarray
    guesses: tuple[np.ndarray, ...]

    @property
    def miou(self) -> float:
        """Mean over the classes."""
        return float(self.iou.mean())


def local_bound(source: Scenes, split: Split) -> Bound:
    """Compute the bound for a split, from scenes rendered in memory; no file is read."""
    alike = np.zeros((len(LOOK_ALIKES), len(CLASSES)), np.int64)
    pixels = np.zeros(len(CLASSES), np.int64)
    for index in range(source.counts[split]):
        scene = source.scene(split, index)
        _, label = render(scene)
        pixels += _count(label)
        for row, mask in enumerate(look_alikes(scene)):
            alike[row] += _count(label[mask])
    iou, guesses = np.ones(len(CLASSES)), []
    for row, names in enumerate(LOOK_ALIKES):
        members = [CLASSES.names.index(name) for name in names]
        inside = alike[row, members]
        guess = best_guess(inside, pixels[members] - inside)
        iou[members] = expected_iou(guess, inside, pixels[members] - inside)
        guesses.append(guess)
    return Bound(iou=iou, guesses=tuple(guesses))


def look_alikes(scene: Scene) -> list[np.ndarray]:
    """Return the pixels of each set of `LOOK_ALIKES`, (H, W) bool."""
    # in this scene every look-alike is the first member of its set
    _, label = render(replace(scene, end="water", many=True, keepers=("barn", "barn")))
    return [label == CLASSES.names.index(names[0]) for names in LOOK_ALIKES]


def expected_iou(guess: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Return the expected IoU per member of a set of look-alikes that is guessed.

    Args:
        guess: probability per member, (..., M).
        inside: pixels of each member in the set, (M,).
        outside: pixels of each member's class elsewhere, (M,), all predicted correctly.
    """
    correct = outside + guess * inside
    union = outside + inside + guess * (inside.sum() - inside)
    iou: np.ndarray = correct / np.maximum(union, 1)
    return iou


def best_guess(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Return the probabilities, (M,), with the greatest sum of expected IoU, by grid search."""
    members = len(inside)
    center, radius = np.full(members - 1, 0.5), 0.5
    best: np.ndarray = np.eye(members)[0]
    for _ in range(ROUNDS):
        axes = [np.linspace(c - radius, c + radius, STEPS + 1).clip(0, 1) for c in center]
        free = np.array(list(product(*axes)))
        guesses = np.column_stack([free, 1 - free.sum(1)])
        guesses = guesses[guesses[:, -1] >= 0]
        best = guesses[expected_iou(guesses, inside, outside).sum(1).argmax()]
        center, radius = best[:-1], radius * 4 / STEPS
    return best


def _count(label: np.ndarray) -> np.ndarray:
    return np.bincount(label[label != IGNORE], minlength=len(CLASSES))


def main(arguments: list[str] | None = None) -> None:
    """Print the bound of each split of the scenes in a folder."""
    parser = Parser(prog="python -m pspnet.data.scenes.local_bound", description=__doc__)
    parser.add_argument("root", type=Path, help="folder of built-in scenes")
    root = parser.parse_args(arguments).root
    with one_line_errors():
        source = load_scenes(root)
    for split in SPLITS:
        bound = local_bound(source, split)
        print(f"{split}: mIoU at most {bound.miou:.4f} from windows")
        for group, names in CLASSES.groups.items():
            iou = bound.iou[[CLASSES.names.index(name) for name in names]]
            each = ", ".join(f"{name} {value:.4f}" for name, value in zip(names, iou, strict=True))
            print(f"  {group}: {iou.mean():.4f} ({each})")


if __name__ == "__main__":
    main()
