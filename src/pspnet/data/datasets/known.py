"""The data sets of published networks, found by number and names of the classes."""

from __future__ import annotations

from collections.abc import Sequence

from pspnet.data.datasets.ade20k import ADE20K
from pspnet.data.datasets.camvid import CamVid
from pspnet.data.datasets.cityscapes import Cityscapes
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.own_data.classes_yaml import default_colors
from pspnet.data.datasets.voc import VOC

KNOWN: dict[str, type[VOC] | type[Cityscapes] | type[ADE20K] | type[CamVid]] = {
    "voc": VOC,
    "cityscapes": Cityscapes,
    "ade20k": ADE20K,
    "camvid": CamVid,
}


def known_data(count: int, names: Sequence[str] | None) -> str | None:
    """Return the data set with so many classes, and these names if there are names; or None."""
    tables = {name: source().classes.names for name, source in KNOWN.items()}
    fitting = [name for name, table in tables.items() if len(table) == count]
    for name in fitting:
        if names is None or [*map(_folded, names)] == [*map(_folded, tables[name])]:
            return name
    return None


def plain_classes(
    names: Sequence[str] | int, colors: Sequence[tuple[int, int, int]] | None = None
) -> Classes:
    """Return classes of these names and colors.

    Args:
        names: of the classes; a number of them are called "class 0" and so on.
        colors: RGB of each class, 0 to 255; None, or another number of them, for some that differ.

    Raises:
        UserError: for more than 255 classes, or names that occur twice or hold control characters.
    """
    if isinstance(names, int):
        names = [f"class {index}" for index in range(names)]
    if colors is None or len(colors) != len(names):
        colors = [(red, green, blue) for red, green, blue in default_colors(len(names))]
    return Classes(tuple(names), tuple(colors))


def same_name(one: str, other: str) -> bool:
    """Return whether two names of a class differ in case and outer spaces at most."""
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return name.strip().casefold()
