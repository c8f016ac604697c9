"""Types of options that jsonargparse refuses with our own line."""

from __future__ import annotations

from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin

from jsonargparse.typing import extend_base_type, restricted_number_type

from pspnet.files.paths import local_path
from pspnet.files.text import path_part

# numpy's generator takes no greater seed
Seed: Any = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)])


def _text(name: str, check: Callable[..., object]) -> Any:
    """Return a type of texts that `check(text, option=…)` accepts."""

    def validate(_: type, value: object) -> None:
        if not isinstance(value, str):
            raise ValueError(f"{name.lower()}={value!r}: give a text, in a file in quotes")
        check(value, option=name.lower())

    return extend_base_type(name, str, validate)


Name, Version = _text("Name", path_part), _text("Version", path_part)
Logs, InitFrom = _text("Logs", local_path), _text("Init_from", local_path)
ContinueFrom = _text("Continue_from", local_path)


def allows_none(kind: Any) -> bool:
    """Return whether null is a value of a type."""
    union = get_origin(kind) in (Union, UnionType)
    return kind in (None, Any, object) or (union and type(None) in get_args(kind))
