"""The base of data sets whose labels are shapes, drawn whenever a label is read."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from pspnet.data.datasets.base import Split
from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.data.datasets.own_data.base import OwnData
from pspnet.data.datasets.own_data.classes_yaml import default_colors
from pspnet.data.datasets.own_data.split_lists import split_of
from pspnet.data.label_io import Color, LabelCode
from pspnet.errors import UserError

BACKGROUND = ("background", "_background_", "__background__")


class DrawnData(OwnData, ABC):
    """Own data with shapes for labels; pixels that no shape covers are the background.

    Shapes are drawn in the order of their file, later ones over earlier ones.
    """

    @property
    def background(self) -> int:
        """The train id of pixels without a shape: 255 if no class is named as the background."""
        names = [name.lower() for name in self.classes.names]
        return next((names.index(name) for name in BACKGROUND if name in names), IGNORE)

    @cached_property
    def label_code(self) -> LabelCode:
        return LabelCode(self.train_ids(), drawn=(type(self).__name__, *self.classes.names))


def drawn_classes(origin: Path, names: Sequence[str], colors: Sequence[Color] = ()) -> Classes:
    """Return the classes of the names, and before them `background` if none has that name.

    Args:
        origin: the file or folder that they come from, for error messages.
        names: the names of shapes.
        colors: their colors; without them they get those of `default_colors`.

    Raises:
        UserError: if there is no class but the background, or the names contradict each other.
    """
    if not {name.lower() for name in names} & {*BACKGROUND}:
        names, colors = ["background", *names], [(0, 0, 0), *colors] if colors else ()
    if len(names) < 2:
        raise UserError(f"{origin} has no class but the background; label something")
    if not colors:
        palette = iter(default_colors(len(names)))
        colors = [
            (0, 0, 0) if name.lower() in BACKGROUND else (red, green, blue)
            for name, (red, green, blue) in zip(names, palette, strict=True)
        ]
    try:
        return Classes(tuple(names), tuple(colors))
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None


def split_of_path(path: Path, root: Path) -> Split | None:
    """Return the split that a folder above the file, and below the root, is named after."""
    parts = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
    return next((split for part in parts if (split := split_of(part))), None)
