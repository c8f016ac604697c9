"""Names, colors and groups of a data set's classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from itertools import chain
from typing import Any

import numpy as np

from pspnet.errors import UserError
from pspnet.files.text import check_text

IGNORE = 255  # the ignore_index: label of void, borders and padding, neither trained nor scored


@dataclass(frozen=True)
class Classes:
    """A data set's classes in the order of their train ids.

    Args:
        names: one name per class, all different, at most 255 of them.
        colors: RGB, 0 to 255, one per class.
        groups: class names per name of a group; mIoU is also logged for each group.
        categories: class names per name of a category, each class in exactly one; empty if there
            are no categories. A category is scored as one class.

    Raises:
        UserError: if the table contradicts itself.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (*self.names, *self.groups, *self.categories):
            check_text(name, what="names of classes and groups")
        if not 1 <= len(self.names) <= IGNORE:
            raise UserError(f"{len(self.names)} classes: give 1 to {IGNORE}")
        doubles = sorted({name for name in self.names if self.names.count(name) > 1})
        if doubles:
            raise UserError(f"class names {doubles} occur more than once; give each class its own")
        if len(self.colors) != len(self.names):
            raise UserError(
                f"{len(self.colors)} colors for {len(self.names)} classes; give one per class"
            )
        for group, members in self.groups.items():
            unknown = sorted(set(members) - set(self.names))
            if unknown:
                raise UserError(
                    f"group {group!r} names {unknown}, which are not classes; correct them"
                )
        own = Counter(self.names)
        sorted_in = Counter(name for members in self.categories.values() for name in members)
        wrong = sorted((own - sorted_in) + (sorted_in - own))
        if self.categories and wrong:
            raise UserError(f"categories: {wrong} must be classes, each in exactly one category")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def from_plain(cls, table: Any) -> Classes:
        """Return the table that `dataclasses.asdict` of another one describes.

        Raises:
            UserError: if it is none, or contradicts itself.
        """
        try:
            names, colors = [*table["names"]], [tuple(map(int, rgb)) for rgb in table["colors"]]
            groups, categories = (
                {name: (*members,) for name, members in table.get(key, {}).items()}
                for key in ("groups", "categories")
            )
            texts = [*names, *groups, *categories, *chain(*groups.values(), *categories.values())]
            right = all(isinstance(text, str) for text in texts)
            right &= all(len(rgb) == 3 and set(rgb) <= set(range(256)) for rgb in colors)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            right = False
        if not right:
            raise UserError("its class table is none: texts, [red, green, blue]; a damaged file")
        return cls(tuple(names), tuple(colors), groups, categories)  # type: ignore[arg-type]

    def palette(self) -> np.ndarray:
        """Return the color of each label value, (256, 3) uint8, black where it is no class."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self)] = self.colors
        return palette


def load_table(name: str) -> Classes:
    """Load the table `tables/NAME.txt` of this package: one line `R G B name` per class."""
    text = resources.files(__package__).joinpath(f"tables/{name}.txt").read_text("utf-8")
    rows = [line.split(maxsplit=3) for line in text.splitlines()]
    return Classes(
        names=tuple(row[3] for row in rows),
        colors=tuple((int(row[0]), int(row[1]), int(row[2])) for row in rows),
    )
