"""The class table: what it refuses."""

from typing import Any

import pytest

from pspnet.data.datasets.classes import Classes
from pspnet.errors import UserError

NAMES, COLORS = ("road", "sky", "car"), ((0, 0, 0), (1, 1, 1), (2, 2, 2))


def test_categories_hold_every_class_once() -> None:
    categories = {"still": ("sky", "road"), "moving": ("car",)}
    assert Classes(NAMES, COLORS, categories=categories).categories == categories
    assert Classes(NAMES, COLORS).categories == {}


@pytest.mark.parametrize(
    ("categories", "wrong"),
    [
        ({"still": ("sky", "road")}, "car"),
        ({"still": ("sky", "road"), "moving": ("car", "road")}, "road"),
        ({"still": ("sky", "road"), "moving": ("car", "bus")}, "bus"),
        ({"all": ("sky", "road", "car", "car")}, "car"),
    ],
)
def test_other_categories_are_refused(categories: dict[str, Any], wrong: str) -> None:
    with pytest.raises(UserError, match=rf"categories: \['{wrong}'\] must be classes"):
        Classes(NAMES, COLORS, categories=categories)
