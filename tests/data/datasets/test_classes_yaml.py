"""The file that describes the classes of a user's folder."""

from pathlib import Path

import numpy as np
import pytest
from layouts import put_text

from pspnet.data.datasets.classes_yaml import default_colors, read_classes
from pspnet.data.datasets.folder import Folder
from pspnet.errors import UserError


def test_all_keys(tmp_path: Path) -> None:
    path = put_text(
        tmp_path / "classes.yaml",
        "names: [background, cat, dog]",
        "colors: [[0, 0, 0], [200, 0, 0], [0, 0, 255]]",
        "groups: {animals: [cat, dog]}",
        "ignore: [9, 1]",
    )
    classes, ignore = read_classes(path)
    assert classes.names == ("background", "cat", "dog")
    assert classes.colors == ((0, 0, 0), (200, 0, 0), (0, 0, 255))
    assert classes.groups == {"animals": ("cat", "dog")}
    assert ignore == [9, 1]
    expected = [0, 255, 2] + [-1] * 6 + [255] + [-1] * 245 + [255]
    np.testing.assert_array_equal(Folder(tmp_path).train_ids(), expected)
    assert Folder(tmp_path).classes == classes


def test_default_colors_are_distinct() -> None:
    colors = {tuple(color) for color in default_colors(255)}
    assert len(colors) == 255
    assert (0, 0, 0) not in colors
    assert all(0 <= channel <= 255 for color in colors for channel in color)
    assert default_colors(3) == [[128, 0, 0], [0, 128, 0], [128, 128, 0]]  # VOC's own 1, 2, 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("names: [a, b", "is no YAML, line 2: expected ',' or ']'"),
        ("names: [a]\n\tx: 1", "is no YAML, line 2"),
        ("a\x00b", "is no YAML"),
        ("", "has no names; write them as"),
        ("- a\n- b", "has no names; write them as"),
        (
            "names: [a]\ncolours: []\nidx: 1",
            r"unknown keys \['colours', 'idx'\]; known: names, col",
        ),
        ("names: a", "names: 'a' is given; give a list of texts"),
        ("names: [yes, no]", r"names: \[True, False\] is given; give a list of texts \(in quotes"),
        ("names: []", "0 classes: give 1 to 255"),
        ("names: [a, b, a]", r"class names \['a'\] occur more than once"),
        ("names: [a]\ncolors: [[0, 256, 0]]", r"colors: \[\[0, 256, 0\]\] is given; .* 0 to 255"),
        ("names: [a, b]\ncolors: [[0, 0, 0], [0, 0]]", r"colors: \[\[0, 0\]\] is given"),
        ("names: [a]\ncolors: {a: [0, 0, 0]}", r"colors: \{'a': \[0, 0, 0\]\} is given"),
        ("names: [a]\ncolors: [red]", r"colors: \['red'\] is given"),
        ("names: [a]\ncolors: [[0, 0, 0], [1, 1, 1]]", "2 colors for 1 classes"),
        ("names: [a]\ngroups: [a]", r"groups: \['a'\] is given; give a list of class names for"),
        ("names: [a]\ngroups: {g: a}", r"groups: \['a'\] is given; give a list of class"),
        ("names: [a]\ngroups: {g: [z]}", r"group 'g' names \['z'\], which are not classes"),
        ("names: [a]\ngroups: {1: [a]}", r"groups: \[1\] is given; give a list of class names for"),
        ("names: [a]\ngroups: {g: [1]}", r"groups: \[\[1\]\] is given"),
        ("names: [a]\nignore: 9", "ignore: 9 is given; give a list of label values"),
        ("names: [a]\nignore: [256]", r"ignore: \[256\] is given"),
        ("names: [a]\nignore: [true]", r"ignore: \[True\] is given"),
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
