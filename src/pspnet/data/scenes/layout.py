"""Random layout of a scene of the built-in data set, before it is rendered.

From top to bottom a scene has sky, hills with houses, a beach with vehicles behind dune grass, and
a meadow with pale patches. The class of a thing depends only on something far from it:

- a vehicle is a boat if the beach ends in water, a car if it ends in a road;
- a house is a farm if few houses stand on the hills, a city if there are many;
- a pale patch is a sheep if a barn stands in its half of the meadow, a hare if a wood does, and
  just meadow if neither does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

WINDOW = 41  # side in pixels of the window around a pixel that does not tell its class
SMALLEST = (65, 193)
HOUSE_SLOTS = 5
FEW, MANY = 2, 4  # houses of a farm, of a city
PATCH_PLACES = (58, 80)  # pixels from the keeper's end of the meadow
HOUSE_SPREAD = 2  # keeps a house's neighbors out of its window
LOOKS = 4  # color variants of a thing

End = Literal["water", "road"]
Keeper = Literal["barn", "wood", "none"]


class PortableRandom:
    """Random integers from PCG64's raw output, which numpy keeps the same in every release.

    Args:
        entropy: numbers that select the sequence: seed, split and index.
    """

    def __init__(self, *entropy: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(entropy))

    def below(self, stop: int) -> int:
        """Draw a number from 0 to stop - 1."""
        return int(self._bits.random_raw()) % stop

    def between(self, low: int, high: int) -> int:
        """Draw a number from low to high, both included."""
        return low + self.below(high - low + 1)

    def some(self, count: int, of: int) -> tuple[int, ...]:
        """Draw `count` different numbers below `of`, sorted."""
        rest = list(range(of))
        return tuple(sorted(rest.pop(self.below(len(rest))) for _ in range(count)))

    def grain(self, height: int, width: int, *, strength: int) -> np.ndarray:
        """Draw noise of -strength to strength, (height, width) int16."""
        raw = self._bits.random_raw(-(-height * width // 8)).astype("<u8").view(np.uint8)
        steps = raw[: height * width].reshape(height, width) % (2 * strength + 1)
        return steps.astype(np.int16) - strength


@dataclass(frozen=True)
class Thing:
    """A thing in the scene.

    Args:
        x: column of its center.
        y: first row below it.
        look: number of its color variant, 0 to 3.
        mirrored: True if it is flipped horizontally.
    """

    x: int
    y: int
    look: int
    mirrored: bool


@dataclass(frozen=True)
class Scene:
    """The layout of a scene.

    Args:
        size: height and width in pixels.
        grain: seed of the noise.
        end: end of the beach; with water the vehicles are boats, with a road cars.
        end_left: True if that end is on the left.
        end_width: width of that end in pixels.
        vehicles: vehicles, far from the end.
        many: True if the houses are a city.
        houses: `MANY` or `FEW` houses, further apart than half a window.
        keepers: the barn, the wood or nothing at the left and right end of the meadow, which
            decides the class of the patches in its half.
        patches: patches, further from both keepers than half a window.
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


def draw_scene(draw: PortableRandom, *, size: tuple[int, int]) -> Scene:
    """Draw a random scene, in which classes and places of all things are independent."""
    end_left = draw.below(2) == 0
    many = draw.below(3) == 0  # then cities and farms have equally many houses in total
    return Scene(
        size=size,
        grain=draw.below(2**32),
        end=("water", "road")[draw.below(2)],
        end_left=end_left,
        end_width=draw.between(40, 52),
        vehicles=_draw_vehicles(draw, size, end_left=end_left),
        many=many,
        houses=_draw_houses(draw, size, count=MANY if many else FEW),
        keepers=(_draw_keeper(draw), _draw_keeper(draw)),
        patches=_draw_patches(draw, size),
    )


def horizon(height: int) -> int:
    """Return the row where the hills end."""
    return height * 22 // 65


def shore(height: int) -> int:
    """Return the row where the beach ends."""
    return height * 45 // 65


def _draw_vehicles(
    draw: PortableRandom, size: tuple[int, int], *, end_left: bool
) -> tuple[Thing, ...]:
    height, width = size
    slots = range(width * 6 // 10, width - 15, 28)
    count = draw.between(1, len(slots))
    xs = [slots[slot] for slot in draw.some(count, len(slots))]
    y = (horizon(height) + shore(height)) // 2 + 7
    return tuple(_thing(draw, x if end_left else width - 1 - x, y) for x in xs)


def _draw_houses(draw: PortableRandom, size: tuple[int, int], *, count: int) -> tuple[Thing, ...]:
    height, width = size
    xs = [(2 * slot + 1) * width // (2 * HOUSE_SLOTS) for slot in draw.some(count, HOUSE_SLOTS)]
    return tuple(_thing(draw, x, horizon(height) + 4, spread=HOUSE_SPREAD) for x in xs)


def _draw_keeper(draw: PortableRandom) -> Keeper:
    keepers: tuple[Keeper, ...] = ("barn", "wood", "none")
    return keepers[draw.below(len(keepers))]


def _draw_patches(draw: PortableRandom, size: tuple[int, int]) -> tuple[Thing, ...]:
    height, width = size
    y = (shore(height) + height) // 2 + 4
    patches = []
    for left in (True, False):
        for slot in draw.some(draw.between(1, 2), 2):
            x = PATCH_PLACES[slot]
            patches.append(_thing(draw, x if left else width - 1 - x, y))
    return tuple(patches)


def _thing(draw: PortableRandom, x: int, y: int, *, spread: int = 3) -> Thing:
    return Thing(
        x=x + draw.between(-spread, spread),
        y=y + draw.between(-1, 2),
        look=draw.below(LOOKS),
        mirrored=draw.below(2) == 0,
    )
