"""JSON files that annotation tools write: read once, each value with its place in the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pspnet.errors import UserError

LONGEST = 60  # characters of a wrong value that an error shows
GREATEST = 2**53  # beyond, numbers of JSON are not exact


class Field:
    """A value in a JSON file, which names itself in errors as `file: shapes[3].points`.

    A key that is absent has the value None, as one that is null.
    """

    __slots__ = ("path", "place", "value")

    def __init__(self, path: Path, value: Any, place: tuple[str | int, ...] = ()) -> None:
        self.path, self.value, self.place = path, value, place

    def get(self, key: str) -> Field:
        """Return the value of a key; the object must be one."""
        if not isinstance(self.value, dict):
            raise self.error("give an object in braces")
        return Field(self.path, self.value.get(key), (*self.place, key))

    def items(self) -> list[Field]:
        """Return the values of a list."""
        if not isinstance(self.value, list):
            raise self.error("give a list in brackets")
        return [Field(self.path, it, (*self.place, at)) for at, it in enumerate(self.value)]

    def text(self) -> str:
        """Return a text that is not empty."""
        if not isinstance(self.value, str) or not self.value:
            raise self.error("give a text")
        return self.value

    def integer(self, least: int = 0) -> int:
        """Return a whole number; 640.0 is one, too."""
        number = self.value
        if isinstance(number, float) and number.is_integer():
            number = int(number)
        if type(number) is not int or not least <= number <= GREATEST:  # a bool is an int, too
            raise self.error(f"give a whole number, {least} to {GREATEST}")
        return number

    def points(self, least: int) -> np.ndarray:
        """Return a list of at least `least` points [x, y], (N, 2) float64."""
        points = self._numbers()
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < least:
            raise self.error(f"give at least {least} points of two numbers each")
        return points

    def flat_points(self, least: int) -> np.ndarray:
        """Return the points of a list x, y, x, y, …, (N, 2) float64."""
        numbers = self._numbers()
        if numbers.ndim != 1 or numbers.size % 2 or numbers.size < 2 * least:
            raise self.error(f"give at least {least} points of two numbers each")
        return numbers.reshape(-1, 2)

    def _numbers(self) -> np.ndarray:
        """Return the numbers of a list; without dimensions where there are others."""
        try:
            numbers = np.array(self.value, np.float64)
        except (TypeError, ValueError, OverflowError):
            return np.empty(())
        return numbers if np.isfinite(numbers).all() else np.empty(())

    def error(self, remedy: str) -> UserError:
        """Return the error about this value, with what to do about it."""
        place = "".join(f"[{it}]" if isinstance(it, int) else f".{it}" for it in self.place)
        shown = json.dumps(self.value, ensure_ascii=False, default=repr)
        if len(shown) > LONGEST:
            shown = f"{shown[:LONGEST]}…"
        found = "is missing" if self.value is None else f"is {shown}"
        return UserError(f"{self.path}: {place.lstrip('.') or 'the file'} {found}; {remedy}")


def read_json(path: Path, *, expected: str) -> Field:
    """Read a JSON file.

    Args:
        path: the file.
        expected: what is wanted there, for the error message.

    Raises:
        UserError: if it is missing or cannot be read, or is no JSON in UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return Field(path, json.loads(text, parse_constant=_refuse_constant))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give {expected}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no UTF-8 text; save {expected} in UTF-8") from None
    except RecursionError:
        raise UserError(f"{path} nests lists too deeply; give {expected}") from None
    except ValueError as error:
        raise UserError(f"{path} is no JSON ({error}); give {expected}") from None


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")
