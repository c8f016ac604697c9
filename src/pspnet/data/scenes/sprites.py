"""The things of the built-in scenes as pixel art: a letter is a color, a dot is transparent."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Sprite:
    """A small drawing.

    Args:
        rows: one text per row, all equally long; "." is transparent.
        colors: RGB per letter; a letter that is absent gets its color when it is rendered.
    """

    rows: tuple[str, ...]
    colors: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @cached_property
    def art(self) -> np.ndarray:
        """Letters as an array, (height, width)."""
        return np.array([list(row) for row in self.rows])


VEHICLE = Sprite(
    (
        "........bbbbbb.......",
        ".......bwwwwwwb......",
        "......bwwwbwwwwb.....",
        ".....bwwwwbwwwwwb....",
        "bbbbbbbbbbbbbbbbbbbbb",
        "bbbbbbbbbbbbbbbbbbbbb",
        "bbbbbbbbbbbbbbbbbbbbb",
        ".eeeeeeeeeeeeeeeeeee.",
        ".sssssssssssssssssss.",
        "..sssssssssssssssss..",
        "..sssssssssssssssss..",
        "...sssssssssssssss...",
    ),
    {"w": (205, 232, 240), "e": (250, 250, 245)},
)
# hides wheels and keel
GRASS = Sprite(
    (
        "..g.....g....g....g....g.",
        ".gg..g..gg..gg.g.gg..g.g.",
        "ggg.ggg.ggg.ggggg.gggggg.",
        "ggggggggggggggggggggggggg",
        ".ggggggggggggggggggggggg.",
    ),
    {"g": (150, 158, 88)},
)
HOUSE = Sprite(
    (
        "......r......",
        ".....rrr.....",
        "....rrrrr....",
        "...rrrrrrr...",
        "..rrrrrrrrr..",
        ".rrrrrrrrrrr.",
        "rrrrrrrrrrrrr",
        ".mmmmmmmmmmm.",
        ".mddmmmmmddm.",
        ".mddmmmmmddm.",
        ".mmmmmmmmmmm.",
        ".mddmmmmmddm.",
        ".mddmmmmmddm.",
        ".mmmmmmmmmmm.",
        ".mmmmdddmmmm.",
        ".mmmmdddmmmm.",
    ),
    {"m": (238, 225, 200), "d": (80, 75, 90)},
)
PATCH = Sprite(
    (
        "....ppppppp....",
        "..ppppppppppp..",
        ".ppppppppppppp.",
        ".ppppppppppppp.",
        "ppppppppppppppp",
        "ppppppppppppppp",
        ".ppppppppppppp.",
        ".ppppppppppppp.",
        "..ppppppppppp..",
        "....ppppppp....",
    ),
    {"p": (140, 184, 108)},
)
BARN = Sprite(
    (
        "..........rr..........",
        "........rrrrrr........",
        "......rrrrrrrrrr......",
        "....rrrrrrrrrrrrrr....",
        "..rrrrrrrrrrrrrrrrrr..",
        "rrrrrrrrrrrrrrrrrrrrrr",
        ".bbbbbbbbbbbbbbbbbbbb.",
        ".bbbbbbbbbbbbbbbbbbbb.",
        ".bbbbbwwwwwwwwwwbbbbb.",
        ".bbbbbwwbbbbbbwwbbbbb.",
        ".bbbbbwbwbbbbwbwbbbbb.",
        ".bbbbbwbbwbbwbbwbbbbb.",
        ".bbbbbwbbbwwbbbwbbbbb.",
        ".bbbbbwbbwbbwbbwbbbbb.",
        ".bbbbbwbwbbbbwbwbbbbb.",
        ".bbbbbwwbbbbbbwwbbbbb.",
        ".bbbbbwwwwwwwwwwbbbbb.",
    ),
    {"r": (95, 60, 55), "b": (175, 55, 50), "w": (240, 235, 225)},
)
WOOD = Sprite(
    (
        "....gg..........gg....",
        "...gggg...gg...gggg...",
        "..gggggg.gggg.gggggg..",
        "..ggggggggggggggggggg.",
        ".ggglggggggggggglggggg",
        "gggllgggggglgggllggggg",
        "ggggggggggllgggggggggg",
        "gggggggggggggggggggggg",
        ".gglgggggggggggglgggg.",
        ".ggggggglggggggggggggg",
        "gggggggllggggglggggggg",
        ".gggggggggggggggggggg.",
        "..gggggggggggggggggg..",
        "....tt....tt....tt....",
        "....tt....tt....tt....",
        "....tt....tt....tt....",
        "....tt....tt....tt....",
    ),
    {"g": (30, 95, 50), "l": (60, 130, 70), "t": (90, 65, 45)},
)
