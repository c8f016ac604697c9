"""The file `classes.yaml` that describes the classes of a user's own folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.data.files import require
from pspnet.data.label_io import LARGEST_VALUE, REFUSED, Color, LabelCode
from pspnet.errors import UserError
from pspnet.files.yaml_files import read_yaml

KEYS = ("names", "colors", "groups", "ignore", "values", "reduce_zero_label", "transparent")


def read_classes(path: Path) -> tuple[Classes, LabelCode]:
    """Read the classes that a `classes.yaml` describes, and the meaning of masks' pixels.

    Raises:
        UserError: naming the file, if it is missing or wrong.
    """
    given = _mapping(path)
    names, colors, groups = given["names"], given.get("colors"), given.get("groups", {})
    _check(path, "names", _wrong(names, _is_text), "a list of texts (in quotes where yes, no or 1)")
    if len(names) == 1:
        raise UserError(f"{path}: 1 class, {names[0]!r}; name the background, too, as its value 0")
    colors_used = default_colors(len(names)) if colors is None else colors
    wrong = _wrong(colors_used, _is_color)
    _check(path, "colors", wrong, "a list of [red, green, blue], 0 to 255 each")
    wrong = _wrong([*groups], _is_text) if isinstance(groups, dict) else groups
    _check(path, "groups", wrong, "a list of class names for each group's name")
    wrong = [members for members in groups.values() if _wrong(members, _is_text) != []]
    _check(path, "groups", wrong, "a list of class names for each group's name")
    try:
        classes = Classes(
            names=tuple(names),
            colors=tuple((red, green, blue) for red, green, blue in colors_used),
            groups={group: tuple(members) for group, members in groups.items()},
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return classes, _code(path, given, classes)


def _code(path: Path, given: dict[Any, Any], classes: Classes) -> LabelCode:
    ignore, transparent = given.get("ignore", []), given.get("transparent")
    wrong = _wrong(ignore, lambda value: _is_value(value) or _is_color(value))
    _check(path, "ignore", wrong, "a list of values of masks, or of [red, green, blue]")
    wrong = [] if transparent in (None, "ignore") else transparent
    _check(path, "transparent", wrong, "ignore, or leave it out to refuse transparent masks")
    values = np.full(LARGEST_VALUE + 1, REFUSED, np.int16)
    values[IGNORE] = IGNORE
    for value, train_id in _values(path, given, classes).items():
        values[value] = train_id
    values[[value for value in ignore if _is_value(value)]] = IGNORE
    absent = sorted(set(range(len(classes))) - {*values.tolist()})
    if absent and "values" in given:
        name = classes.names[absent[0]]
        raise UserError(f"{path}: values: {name!r} has no value of its own; give each class one")
    ignored = [(red, green, blue) for red, green, blue in filter(_is_color, ignore)]
    return LabelCode(
        values if (values[256:] != REFUSED).any() else values[:256],
        colors=color_code(classes, ignored=ignored) if given.get("colors") is not None else None,
        transparent=transparent == "ignore",
        class_file=path,
    )


def color_code(classes: Classes, *, ignored: Sequence[Color] = ()) -> dict[Color, int]:
    """Return the train id of each color, or 255; a color of several classes has none."""
    codes = {
        color: train_id
        for train_id, color in enumerate(classes.colors)
        if classes.colors.count(color) == 1
    }
    return codes | dict.fromkeys(ignored, IGNORE)


def _values(path: Path, given: dict[Any, Any], classes: Classes) -> dict[int, int]:
    """Return the train id of each value: that of `values`, or in the order of the names."""
    values, reduced = given.get("values"), given.get("reduce_zero_label", False)
    wrong = [] if isinstance(reduced, bool) else reduced
    _check(path, "reduce_zero_label", wrong, "true if 0 is no data and the classes begin at 1")
    if values is None:
        ids = {train_id + reduced: train_id for train_id in range(len(classes))}
        return ids | ({0: IGNORE} if reduced else {})
    if reduced:
        raise UserError(f"{path}: values and reduce_zero_label are both given; keep one of them")
    expected = "the class's name for each value of the masks, as {0: background, 255: crack}"
    right = isinstance(values, dict) and all(map(_is_value, values))
    _check(path, "values", [] if right else values, expected)
    unknown = [name for name in values.values() if name not in classes.names]
    _check(path, "values", unknown, "names that `names` lists")
    return {value: classes.names.index(name) for value, name in values.items()}


def default_colors(count: int) -> list[list[int]]:
    """Return distinct colors for up to 255 classes, those of few also for color-blind readers.

    The first 16 differ by at least 11 CIEDE2000 to readers of normal vision, with protanopia and
    with deuteranopia, the first 24 by 9 and 29 by 8. They also differ from the colors of wrong and
    of ignored pixels in figures. `scripts/palette.py` finds them.
    """
    text = resources.files("pspnet.data.datasets").joinpath("tables/plain.txt").read_text("utf-8")
    return [[int(part) for part in line.split()] for line in text.splitlines()[:count]]


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


def _is_value(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_VALUE


def _is_byte(value: object) -> bool:
    return type(value) is int and 0 <= value <= 255  # a bool is an int, too


def _is_color(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_byte, value))
