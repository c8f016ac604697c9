"""The file that describes a user's classes: classes.yaml, or what annotation tools write."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.data.datasets.own_data.classes_yaml import color_code, default_colors, read_classes
from pspnet.data.files import read_list, require_root
from pspnet.data.label_io import REFUSED, Color, LabelCode
from pspnet.errors import UserError

Row = tuple[str, Color]


def read_class_file(root: Path) -> tuple[Classes, LabelCode]:
    """Read the classes of a data set and the meaning of its masks, from the first of these files.

    `classes.yaml`; `class_dict.csv`, lines of name, red, green, blue; CVAT's `labelmap.txt`;
    CamVid's `label_colors.txt`; Roboflow's `_classes.csv`, of the root or of a split's folder.

    Raises:
        UserError: if there is no such folder or no such file, or it is wrong.
    """
    require_root(root)
    for name, read in READERS.items():
        for path in (root / name, *(root / split / name for split in ("train", "valid", "test"))):
            if path.exists() and (path.parent == root or name == "_classes.csv"):
                return read(path)
    return read_classes(root / "classes.yaml")


def read_names(names: Path, colors: Path | None) -> tuple[Classes, LabelCode]:
    """Read classes from a name per line, and a line "red green blue" per class; values are indices.

    Args:
        names: the file of names, semseg's `names_path`.
        colors: the file of colors; None takes colors that differ.

    Raises:
        UserError: if a file is missing or wrong, or there is not a color per class.
    """
    listed = read_list(names)
    if colors is None:
        drawn = tuple((red, green, blue) for red, green, blue in default_colors(len(listed)))
    else:
        rows = [line.split() for line in read_list(colors)]
        drawn = tuple(_required(colors, row, _color(row), "red green blue") for row in rows)
        if len(drawn) != len(listed):
            raise UserError(
                f"{colors} has {len(drawn)} colors, but {names} has {len(listed)} classes; give"
                " one color per class"
            )
    classes = _classes(names, listed, drawn)
    return classes, LabelCode(_indices(len(classes)))


def _class_dict(path: Path) -> tuple[Classes, LabelCode]:
    rows = []
    for number, cells in enumerate(_cells(path)):
        color = _color(cells[1:4])
        if number == 0 and not any(map(str.isdecimal, cells[1:4])):  # the heads of the columns
            continue
        rows.append((cells[0], _required(path, cells, color, "name, red, green, blue")))
    return _colored(path, rows)


def _labelmap(path: Path) -> tuple[Classes, LabelCode]:
    rows = []
    for line in read_list(path):
        if not line.startswith("#"):
            cells = line.split(":")
            color = _color(cells[1].split(",")) if len(cells) > 1 else None
            rows.append((cells[0], _required(path, cells, color, "name:red,green,blue::")))
    return _colored(path, rows)


def _label_colors(path: Path) -> tuple[Classes, LabelCode]:
    rows = []
    for line in read_list(path):
        cells = line.split(maxsplit=3)
        color = _color(cells[:3]) if len(cells) == 4 else None
        rows.append((cells[-1], _required(path, cells, color, "red green blue name")))
    return _colored(path, rows)


def _roboflow(path: Path) -> tuple[Classes, LabelCode]:
    names: dict[int, str] = {}
    for number, cells in enumerate(_cells(path)):
        if number == 0 and not cells[0].isdecimal():
            continue
        wrong = len(cells) != 2 or not cells[0].isdecimal() or int(cells[0]) > 255
        if wrong or int(cells[0]) in names:
            raise UserError(
                f"{path} has the line {','.join(cells)!r}; write value, class, each value once"
            )
        names[int(cells[0])] = cells[1]
    values = np.full(256, REFUSED, np.int16)
    values[IGNORE] = IGNORE
    for train_id, value in enumerate(sorted(names)):
        values[value] = train_id
    ordered = [names[value] for value in sorted(names)]
    colors = tuple((red, green, blue) for red, green, blue in default_colors(len(ordered)))
    return _classes(path, ordered, colors), LabelCode(values)


def _colored(path: Path, rows: Sequence[Row]) -> tuple[Classes, LabelCode]:
    classes = _classes(path, [name for name, _ in rows], tuple(color for _, color in rows))
    return classes, LabelCode(_indices(len(classes)), colors=color_code(classes))


def _indices(count: int) -> np.ndarray:
    """Return the train id of each label value, (256,) int16, where values are the train ids."""
    values = np.full(256, REFUSED, np.int16)
    values[:count] = np.arange(count)
    values[IGNORE] = IGNORE
    return values


def _classes(path: Path, names: Sequence[str], colors: tuple[Color, ...]) -> Classes:
    try:
        if len(names) < 2:
            raise UserError(f"{len(names)} classes; name at least 2, the background among them")
        return Classes(tuple(names), colors)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _cells(path: Path) -> list[list[str]]:
    rows = csv.reader(read_list(path))
    return [[cell.strip() for cell in row] for row in rows]


def _color(cells: Sequence[str]) -> Color | None:
    numbers = [cell.strip() for cell in cells]
    if len(numbers) != 3 or not all(it.isdecimal() and int(it) <= 255 for it in numbers):
        return None
    red, green, blue = map(int, numbers)
    return red, green, blue


def _required(path: Path, cells: Sequence[str], color: Color | None, form: str) -> Color:
    if color is None:
        raise UserError(f"{path} has the line {' '.join(cells)!r}; write {form}, 0 to 255 each")
    return color


READERS: dict[str, Callable[[Path], tuple[Classes, LabelCode]]] = {
    "classes.yaml": read_classes,
    "class_dict.csv": _class_dict,
    "labelmap.txt": _labelmap,
    "label_colors.txt": _label_colors,
    "_classes.csv": _roboflow,
}
