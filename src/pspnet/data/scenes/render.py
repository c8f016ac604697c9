"""The classes of the built-in data set, and the rendering of a scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.data.scenes.layout import PortableRandom, Scene, Thing, horizon, shore
from pspnet.data.scenes.sprites import BARN, GRASS, HOUSE, PATCH, VEHICLE, WOOD, Sprite

CLASSES = Classes(
    names=(
        *("sky", "hill", "beach", "meadow", "water", "road", "barn", "wood"),
        *("boat", "car", "farm", "city", "sheep", "hare"),
    ),
    # of figures and of the labels' palettes; they differ to color-blind readers, too
    colors=(
        *((135, 190, 235), (150, 140, 180), (235, 215, 160), (90, 165, 105)),
        *((0, 105, 255), (75, 75, 75), (105, 15, 0), (45, 75, 45)),
        *((255, 235, 60), (225, 105, 60), (245, 160, 60), (120, 45, 180)),
        *((225, 195, 210), (150, 90, 45)),
    ),
    groups={
        "mismatched relationship": ("boat", "car"),
        "confusion categories": ("farm", "city"),
        "inconspicuous classes": ("sheep", "hare"),
    },
)

BODIES = ((205, 60, 55), (240, 195, 60), (70, 110, 190), (240, 240, 235))
ROOFS = ((170, 80, 60), (110, 100, 110), (150, 120, 70), (95, 125, 110))

GROUNDS = ("beach", "meadow")  # classes of sprites that are part of the ground
KEEPS = {"barn": "sheep", "wood": "hare", "none": "meadow"}


def render(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Return image (H, W, 3) uint8 in RGB and label (H, W) uint8; the same for the same scene."""
    image, label = _ground(scene.size)
    _draw_end(image, label, scene)
    for house in scene.houses:
        colors = {"r": ROOFS[house.look]}
        _stamp(image, label, house, HOUSE, name="city" if scene.many else "farm", colors=colors)
    for vehicle in scene.vehicles:
        _draw_vehicle(image, label, vehicle, name="boat" if scene.end == "water" else "car")
    _draw_meadow(image, label, scene)
    height, width = scene.size
    grain = PortableRandom(scene.grain).grain(height, 3 * width, strength=7)
    image += grain.reshape(image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), label


def _ground(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    label = np.zeros(size, np.uint8)
    image = np.empty((height, width, 3), np.int16)
    image[:] = (140, 190, 230)
    image[..., 0] += (rows * 2).astype(np.int16)
    for top, name, color in (
        (horizon(height) - 10, "hill", (150, 145, 175)),
        (horizon(height), "beach", (232, 210, 160)),
        (shore(height), "meadow", (122, 172, 84)),
    ):
        ground = rows >= top
        image[ground] = color
        label[ground] = CLASSES.names.index(name)
    blades = (label == CLASSES.names.index("meadow")) & ((rows * 2 + columns * 3) % 7 == 0)
    image[blades] -= 14
    return image, label


def _draw_end(image: np.ndarray, label: np.ndarray, scene: Scene) -> None:
    height, width = scene.size
    rows, columns = np.mgrid[:height, :width]
    from_end = columns if scene.end_left else width - 1 - columns
    area = (rows >= horizon(height)) & (rows < shore(height)) & (from_end < scene.end_width)
    if scene.end == "water":
        image[area] = (60, 125, 190)
        crest = np.abs((columns % 12) - 6) // 2
        image[area & ((rows + crest) % 7 == 0)] = (215, 232, 245)
    else:
        image[area] = (98, 98, 104)
        middle = (horizon(height) + shore(height)) // 2
        line = (np.abs(rows - middle) <= 1) & (columns % 14 < 8)
        image[area & line] = (240, 240, 235)
    label[area] = CLASSES.names.index(scene.end)


def _draw_vehicle(image: np.ndarray, label: np.ndarray, vehicle: Thing, *, name: str) -> None:
    body = BODIES[vehicle.look]
    colors = {"b": body, "s": tuple(channel * 3 // 4 for channel in body)}
    _stamp(image, label, vehicle, VEHICLE, name=name, colors=colors)
    _stamp(image, label, replace(vehicle, y=vehicle.y + 2), GRASS, name="beach")


def _draw_meadow(image: np.ndarray, label: np.ndarray, scene: Scene) -> None:
    height, width = scene.size
    for patch in scene.patches:
        keeper = scene.keepers[0 if patch.x < width // 2 else 1]
        _stamp(image, label, patch, PATCH, name=KEEPS[keeper])
    for x, keeper in zip((16, width - 17), scene.keepers, strict=True):
        place = Thing(x=x, y=height - 2, look=0, mirrored=False)
        if keeper != "none":
            _stamp(image, label, place, BARN if keeper == "barn" else WOOD, name=keeper)


def _stamp(
    image: np.ndarray,
    label: np.ndarray,
    thing: Thing,
    sprite: Sprite,
    *,
    name: str,
    colors: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> None:
    """Draw a sprite; around an object a border of one pixel is ignored, as in VOC."""
    art = sprite.art[:, ::-1] if thing.mirrored else sprite.art
    height, width = art.shape
    top, left = thing.y - height, thing.x - width // 2
    for letter, color in {**sprite.colors, **colors}.items():
        image[top : thing.y, left : left + width][art == letter] = color
    if name not in GROUNDS:
        border = label[top - 1 : thing.y + 1, left - 1 : left + width + 1]
        border[_grown(art != ".")] = IGNORE
    label[top : thing.y, left : left + width][art != "."] = CLASSES.names.index(name)


def _grown(mask: np.ndarray) -> np.ndarray:
    """Return the mask grown to its eight neighbors, one row and column larger on each side."""
    padded = np.pad(mask, 2)
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    shifts = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    grown: np.ndarray = np.logical_or.reduce(shifts)
    return grown
