"""The file `classes.yaml` that describes the classes of a user's own folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pspnet.data.datasets.classes import Classes
from pspnet.data.files import require
from pspnet.errors import UserError
from pspnet.files.yaml_files import read_yaml

KEYS = ("names", "colors", "groups", "ignore")


def read_classes(path: Path) -> tuple[Classes, list[int]]:
    """Read the classes that a `classes.yaml` describes, and the label values that it ignores.

    Raises:
        UserError: naming the file, if it is missing or wrong.
    """
    given = _mapping(path)
    names, colors = given["names"], given.get("colors")
    groups, ignore = given.get("groups", {}), given.get("ignore", [])
    _check(path, "names", _wrong(names, _is_text), "a list of texts (in quotes where yes, no or 1)")
    if colors is None:
        colors = default_colors(len(names))
    _check(path, "colors", _wrong(colors, _is_color), "a list of [red, green, blue], 0 to 255 each")
    wrong = _wrong([*groups], _is_text) if isinstance(groups, dict) else groups
    _check(path, "groups", wrong, "a list of class names for each group's name")
    wrong = [members for members in groups.values() if _wrong(members, _is_text) != []]
    _check(path, "groups", wrong, "a list of class names for each group's name")
    _check(path, "ignore", _wrong(ignore, _is_byte), "a list of label values, 0 to 255 each")
    try:
        classes = Classes(
            names=tuple(names),
            colors=tuple((red, green, blue) for red, green, blue in colors),
            groups={group: tuple(members) for group, members in groups.items()},
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return classes, ignore


def default_colors(count: int) -> list[list[int]]:
    """Return distinct colors for up to 255 classes: those of PASCAL VOC, without black."""
    # bits 0, 3, 6 of the number are the high bits of red, and so on: neighbors differ most
    return [
        [
            sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3))
            for channel in range(3)
        ]
        for number in range(1, count + 1)
    ]


def _mapping(path: Path) -> dict[Any, Any]:
    require(path, "the names of the classes, as `names: [background, cat]`")
    given = read_yaml(path, expected="the names of the classes, as `names: [background, cat]`")
    if not isinstance(given, dict) or "names" not in given:
        raise UserError(f"{path} has no names; write them as `names: [background, cat]`")
    unknown = sorted(map(str, given.keys() - set(KEYS)))
    if unknown:
        raise UserError(f"{path} has unknown keys {unknown}; known: {', '.join(KEYS)}")
    return given


def _check(path: Path, key: str, wrong: object, expected: str) -> None:
    if wrong != []:
        raise UserError(f"{path}: {key}: {wrong!r} is given; give {expected}")


def _wrong(value: object, is_right: Callable[[object], bool]) -> object:
    """Return the items of a list that are not right; anything but a list is wrong in total."""
    return [item for item in value if not is_right(item)] if isinstance(value, list) else value


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_byte(value: object) -> bool:
    return type(value) is int and 0 <= value <= 255  # a bool is an int, too


def _is_color(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_byte, value))
