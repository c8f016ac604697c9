"""How a scene of the built-in data set is composed, before anything is painted.

From top to bottom a scene has sky, hills with houses, a beach with vehicles behind dune grass, and
a meadow with pale patches. What a thing is called is decided by something far from it, and by that
alone:

- a vehicle is a boat if the beach ends in water, a car if it ends in a road;
- a house is a farm if few houses stand on the hills, a city if there are many;
- a pale patch is a sheep if a barn stands in its half of the meadow, a hare if a wood does, and
  just meadow if neither does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

WINDOW = 41  # side in pixels of the window around a pixel in which nothing tells
SMALLEST = (65, 193)
HOUSE_SLOTS = 5
FEW, MANY = 2, 4  # houses of a farm, of a city
PATCH_PLACES = (58, 80)  # pixels from the keeper's end of the meadow
HOUSE_SPREAD = 2  # keeps a house's neighbors out of its window
LOOKS = 4  # colors of a thing

End = Literal["water", "road"]
Keeper = Literal["barn", "wood", "none"]


class Dice:
    """Whole numbers from PCG64's raw output, which numpy keeps the same in every release.

    Args:
        entropy: numbers that say which sequence, as seed, split and index.
    """

    def __init__(self, *entropy: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(entropy))

    def below(self, stop: int) -> int:
        """A number from 0 to stop - 1."""
        return int(self._bits.random_raw()) % stop

    def between(self, low: int, high: int) -> int:
        """A number from low to high, both included."""
        return low + self.below(high - low + 1)

    def some(self, count: int, of: int) -> tuple[int, ...]:
        """`count` different numbers below `of`, sorted."""
        rest = list(range(of))
        return tuple(sorted(rest.pop(self.below(len(rest))) for _ in range(count)))

    def grain(self, height: int, width: int, *, strength: int) -> np.ndarray:
        """Noise of -strength to strength, (height, width) int16."""
        raw = self._bits.random_raw(-(-height * width // 8)).astype("<u8").view(np.uint8)
        steps = raw[: height * width].reshape(height, width) % (2 * strength + 1)
        return steps.astype(np.int16) - strength


@dataclass(frozen=True)
class Thing:
    """Something that stands in the scene.

    Args:
        x: column of its middle.
        y: the first row below it.
        look: which of its colors it has, 0 to 3.
        mirrored: whether it faces the other way.
    """

    x: int
    y: int
    look: int
    mirrored: bool


@dataclass(frozen=True)
class Scene:
    """All that is decided before painting.

    Args:
        size: height and width in pixels.
        grain: the seed of the noise.
        end: what the beach ends in, which makes boats or cars of the vehicles.
        end_left: whether that end is on the left.
        end_width: its width in pixels.
        vehicles: far from the end.
        many: whether the houses are a city.
        houses: `MANY` or `FEW`, further apart than half a window.
        keepers: what stands at the left and right end of the meadow, and keeps its half.
        patches: further from both keepers than half a window.
    """

    size: tuple[int, int]
    grain: int
    end: End
    end_left: bool
    end_width: int
    vehicles: tuple[Thing, ...]
    many: bool
    houses: tuple[Thing, ...]
    keepers: tuple[Keeper, Keeper]
    patches: tuple[Thing, ...]


def draw_scene(dice: Dice, *, size: tuple[int, int]) -> Scene:
    """A random scene, in which the answers and the places of all things are independent."""
    end_left = dice.below(2) == 0
    many = dice.below(3) == 0  # as many houses in all of either kind
    return Scene(
        size=size,
        grain=dice.below(2**32),
        end=("water", "road")[dice.below(2)],
        end_left=end_left,
        end_width=dice.between(40, 52),
        vehicles=_draw_vehicles(dice, size, end_left=end_left),
        many=many,
        houses=_draw_houses(dice, size, count=MANY if many else FEW),
        keepers=(_draw_keeper(dice), _draw_keeper(dice)),
        patches=_draw_patches(dice, size),
    )


def horizon(height: int) -> int:
    """The row where the hills end."""
    return height * 22 // 65


def shore(height: int) -> int:
    """The row where the beach ends."""
    return height * 45 // 65


def _draw_vehicles(dice: Dice, size: tuple[int, int], *, end_left: bool) -> tuple[Thing, ...]:
    height, width = size
    slots = range(width * 6 // 10, width - 15, 28)
    count = dice.between(1, len(slots))
    xs = [slots[slot] for slot in dice.some(count, len(slots))]
    y = (horizon(height) + shore(height)) // 2 + 7
    return tuple(_thing(dice, x if end_left else width - 1 - x, y) for x in xs)


def _draw_houses(dice: Dice, size: tuple[int, int], *, count: int) -> tuple[Thing, ...]:
    height, width = size
    xs = [(2 * slot + 1) * width // (2 * HOUSE_SLOTS) for slot in dice.some(count, HOUSE_SLOTS)]
    return tuple(_thing(dice, x, horizon(height) + 4, spread=HOUSE_SPREAD) for x in xs)


def _draw_keeper(dice: Dice) -> Keeper:
    keepers: tuple[Keeper, ...] = ("barn", "wood", "none")
    return keepers[dice.below(len(keepers))]


def _draw_patches(dice: Dice, size: tuple[int, int]) -> tuple[Thing, ...]:
    height, width = size
    y = (shore(height) + height) // 2 + 4
    patches = []
    for left in (True, False):
        for slot in dice.some(dice.between(1, 2), 2):
            x = PATCH_PLACES[slot]
            patches.append(_thing(dice, x if left else width - 1 - x, y))
    return tuple(patches)


def _thing(dice: Dice, x: int, y: int, *, spread: int = 3) -> Thing:
    return Thing(
        x=x + dice.between(-spread, spread),
        y=y + dice.between(-1, 2),
        look=dice.below(LOOKS),
        mirrored=dice.below(2) == 0,
    )
