"""The file that describes the classes of a user's folder."""

import re
from pathlib import Path

import numpy as np
import pytest
from color_vision import closest
from layouts import put_text
from PIL import Image

from pspnet.data.datasets.folder import Folder
from pspnet.data.datasets.own_data.classes_yaml import default_colors, read_classes
from pspnet.data.label_io import read_label
from pspnet.errors import UserError
from pspnet.plotting.style import WRONG


def test_all_keys(tmp_path: Path) -> None:
    path = put_text(
        tmp_path / "classes.yaml",
        "names: [background, cat, dog]",
        "colors: [[0, 0, 0], [200, 0, 0], [0, 0, 255]]",
        "groups: {animals: [cat, dog]}",
        "ignore: [9, 7]",
    )
    classes, code = read_classes(path)
    assert classes.names == ("background", "cat", "dog")
    assert classes.colors == ((0, 0, 0), (200, 0, 0), (0, 0, 255))
    assert classes.groups == {"animals": ("cat", "dog")}
    assert code.colors == {(0, 0, 0): 0, (200, 0, 0): 1, (0, 0, 255): 2}
    expected = [0, 1, 2] + [-1] * 4 + [255, -1, 255] + [-1] * 245 + [255]
    np.testing.assert_array_equal(Folder(tmp_path).train_ids(), expected)
    assert Folder(tmp_path).classes == classes


def test_default_colors_are_distinct() -> None:
    colors = {tuple(color) for color in default_colors(255)}
    assert len(colors) == 255
    assert (0, 0, 0) not in colors
    assert all(0 <= channel <= 255 for color in colors for channel in color)


@pytest.mark.parametrize(("count", "apart"), [(7, 15), (16, 11), (24, 9), (29, 8)])
def test_default_colors_differ_to_color_blind_readers_too(count: int, apart: float) -> None:
    marks = [(255, 255, 255), WRONG]  # of ignored and wrong pixels
    assert closest(np.array([*marks, *default_colors(count)])) >= apart


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("names: [a, b", "is no YAML, line 2: expected ',' or ']'"),
        ("names: [a, z]\n\tx: 1", "is no YAML, line 2"),
        ("a\x00b", "is no YAML"),
        ("", "has no names; write them as"),
        ("- a\n- b", "has no names; write them as"),
        (
            "names: [a, z]\ncolours: []\nidx: 1",
            r"unknown keys \['colours', 'idx'\]; known: names, col",
        ),
        ("names: a", "names: 'a' is given; give a list of texts"),
        ("names: [yes, no]", r"names: \[True, False\] is given; give a list of texts \(in quotes"),
        ("names: []", "0 classes: give 1 to 255"),
        ("names: [a, b, a]", r"class names \['a'\] occur more than once"),
        (
            "names: [a, z]\ncolors: [[0, 256, 0]]",
            r"colors: \[\[0, 256, 0\]\] is given; .* 0 to 255",
        ),
        ("names: [a, b]\ncolors: [[0, 0, 0], [0, 0]]", r"colors: \[\[0, 0\]\] is given"),
        ("names: [a, z]\ncolors: {a: [0, 0, 0]}", r"colors: \{'a': \[0, 0, 0\]\} is given"),
        ("names: [a, z]\ncolors: [red]", r"colors: \['red'\] is given"),
        ("names: [a, b]\ncolors: [[0, 0, 0]]", "1 colors for 2 classes"),
        ("names: [a]", "1 class, 'a'; name the background, too, as its value 0"),
        ("names: [a, z]\ngroups: [a]", r"groups: \['a'\] is given; give a list of class names for"),
        ("names: [a, z]\ngroups: {g: a}", r"groups: \['a'\] is given; give a list of class"),
        ("names: [a, b]\ngroups: {g: [z]}", r"group 'g' names \['z'\], which are not classes"),
        (
            "names: [a, z]\ngroups: {1: [a]}",
            r"groups: \[1\] is given; give a list of class names",
        ),
        ("names: [a, z]\ngroups: {g: [1]}", r"groups: \[\[1\]\] is given"),
        ("names: [a, z]\nignore: 9", "ignore: 9 is given; give a list of values of masks"),
        ("names: [a, z]\nignore: [65536]", r"ignore: \[65536\] is given"),
        (
            "names: [a, b]\nvalues: [0, 255]",
            r"values: \[0, 255\] is given; give the class's name",
        ),
        ("names: [a, b]\nvalues: {0: a, 255: c}", r"values: \['c'\] is given; give names that"),
        ("names: [a, b]\nvalues: {0: a, 255: a}", "values: 'b' has no value of its own"),
        ("names: [a, b]\nvalues: {x: a}", r"values: \{'x': 'a'\} is given"),
        ("names: [a, b]\nvalues: {0: a, 1: b}\nreduce_zero_label: true", "keep one of them"),
        ("names: [a, b]\nreduce_zero_label: 1", "reduce_zero_label: 1 is given; give true if 0"),
        ("names: [a, b]\ntransparent: keep", "transparent: 'keep' is given; give ignore, or"),
        ("names: [a, z]\nignore: [true]", r"ignore: \[True\] is given"),
    ],
)
def test_wrong_descriptions(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text(content + "\n")
    with pytest.raises(UserError, match=message) as error:
        _ = Folder(tmp_path).classes
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_missing_description(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"classes.yaml is missing: expected the names"):
        _ = Folder(tmp_path).classes


def table(tmp_path: Path, *lines: str) -> dict[int, int]:
    put_text(tmp_path / "classes.yaml", *lines)
    values = Folder(tmp_path).label_code.values
    return {int(value): int(values[value]) for value in np.flatnonzero(values >= 0)}


def test_values_of_their_own(tmp_path: Path) -> None:
    binary = table(tmp_path, "names: [background, crack]", "values: {0: background, 255: crack}")
    assert binary == {0: 0, 255: 1}
    several = "values: {50: a, 100: b, 101: b, 7000: a}"
    assert table(tmp_path, "names: [a, b]", several) == {50: 0, 100: 1, 101: 1, 255: 255, 7000: 0}


def test_zero_is_no_data(tmp_path: Path) -> None:
    reduced = table(tmp_path, "names: [a, b, c]", "reduce_zero_label: true")
    assert reduced == {0: 255, 1: 0, 2: 1, 3: 2, 255: 255}


def test_ignored_colors_and_transparency(tmp_path: Path) -> None:
    put_text(
        tmp_path / "classes.yaml",
        "names: [a, b, c]",
        "colors: [[0, 0, 0], [9, 9, 9], [9, 9, 9]]",
        "ignore: [[255, 255, 255], 4]",
        "transparent: ignore",
    )
    code = Folder(tmp_path).label_code
    assert code.colors == {(0, 0, 0): 0, (255, 255, 255): 255}  # two classes of one color have none
    assert code.transparent
    assert code.values[4] == 255


def test_an_ignored_color_is_no_class_and_no_colors_are_none(tmp_path: Path) -> None:
    lines = ("names: [a, b]", "ignore: [[1, 1, 1]]")
    put_text(tmp_path / "classes.yaml", *lines, "colors: [[0, 0, 0], [1, 1, 1]]")
    assert Folder(tmp_path).label_code.colors == {(0, 0, 0): 0, (1, 1, 1): 255}
    put_text(tmp_path / "classes.yaml", *lines, "colors:")
    assert Folder(tmp_path).label_code.colors is None


@pytest.mark.parametrize(
    ("pixels", "mode", "colors", "remedy"),
    [
        ([0, 7], "L", "", "ignore: [7]"),
        ([[0, 0, 0], [3, 4, 5]], "RGB", "colors: [[0, 0, 0], [9, 9, 9]]", "ignore: [[3, 4, 5]]"),
    ],
)
def test_a_refused_pixel_names_the_line_that_ignores_it(
    pixels: list, mode: str, colors: str, remedy: str, tmp_path: Path
) -> None:
    mask, file = tmp_path / "a.png", tmp_path / "classes.yaml"
    Image.fromarray(np.array([pixels], np.uint8), mode).save(mask)
    put_text(file, "names: [a, b]", colors)
    with pytest.raises(UserError, match=re.escape(f"or write `{remedy}` in {file}")):
        read_label(mask, read_classes(file)[1])
    put_text(file, "names: [a, b]", colors, remedy)
    assert read_label(mask, read_classes(file)[1]).tolist() == [[0, 255]]


def test_colors_without_a_meaning_name_the_key_that_gives_one(tmp_path: Path) -> None:
    mask, file = tmp_path / "a.png", tmp_path / "classes.yaml"
    Image.fromarray(np.array([[[0, 0, 0], [3, 4, 5]]], np.uint8)).save(mask)
    put_text(file, "names: [a, b]")
    with pytest.raises(UserError, match=rf"\(`colors: \[\[red, .*\]` in {file}\), or replace each"):
        read_label(mask, read_classes(file)[1])
