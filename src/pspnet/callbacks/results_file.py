"""The form of results.json: scores by name, and the confusion matrix with a row per line.

Beside the scores it holds what the figures are drawn from: `confusion`, the pixels per target class
(row) and predicted class (column) in the order of `iou`, integers, or sums of pixel weights rounded
to nine digits where `weighted` is true; `colors`, one per class; and `members`, the classes of each
group. 150 classes take some 100 kB.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pspnet.errors import UserError

Color = tuple[int, int, int]


def as_text(results: dict[str, Any]) -> str:
    """Return results as JSON, an entry per line, of the matrix a row per line."""
    others = {key: value for key, value in results.items() if key != "confusion"}
    text = json.dumps(others, indent=2)
    if "confusion" not in results:
        return text + "\n"
    rows = [json.dumps(row, separators=(",", ":")) for row in results["confusion"]]
    matrix = ",\n".join(f"    {row}" for row in rows)
    return f'{text[:-2]},\n  "confusion": [\n{matrix}\n  ]\n}}\n'


def plain_matrix(matrix: np.ndarray) -> list[list[int]] | list[list[float]]:
    """Return a matrix (C, C) as plain numbers: integers, or floats of nine digits."""
    rows: list[list[Any]] = matrix.tolist()
    if np.issubdtype(matrix.dtype, np.floating):
        return [[float(f"{value:.9g}") for value in row] for row in rows]
    return rows


def plain_colors(names: Sequence[str], colors: Sequence[Color]) -> dict[str, str]:
    """Return the color of each class as #rrggbb."""
    return {name: f"#{bytes(color).hex()}" for name, color in zip(names, colors, strict=True)}


def read_results(path: Path) -> dict[str, Any]:
    """Read results.json of this or an earlier version.

    Raises:
        UserError: if it is no JSON, or has no IoU of classes.
    """
    try:
        found = json.loads(path.read_bytes())
        right = isinstance(found, dict) and isinstance(found["iou"], dict) and bool(found["iou"])
        values = [value for value in found["iou"].values() if value is not None] if right else []
        right &= all(isinstance(value, int | float) for value in values)
    except (ValueError, KeyError):
        right = False
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    if not right:
        raise UserError(f"{path} holds no IoU of classes; evaluate again by validate")
    results: dict[str, Any] = found
    return results


def read_matrix(results: dict[str, Any], *, path: Path) -> np.ndarray:
    """Return the confusion matrix of results, (C, C).

    Raises:
        UserError: if they have none, as those of earlier versions, or it is none of their classes.
    """
    if "confusion" not in results:
        raise UserError(
            f"{path} has no confusion matrix, as those of earlier versions; evaluate again by"
            " validate"
        )
    classes = len(results["iou"])
    try:
        matrix = np.array(results["confusion"], dtype=float)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape != (classes, classes) or not np.isfinite(matrix).all():
        raise UserError(f"{path}: confusion is no matrix of {classes} classes; a damaged file")
    return matrix


def read_colors(results: dict[str, Any]) -> list[Color]:
    """Return the color of each class, one of a palette where the results have none."""
    from pspnet.data.datasets.own_data.classes_yaml import default_colors

    given = results.get("colors")
    own = given if isinstance(given, dict) else {}
    colors = []
    for name, plain in zip(results["iou"], default_colors(len(results["iou"])), strict=True):
        try:
            red, green, blue = bytes.fromhex(own[name].removeprefix("#"))
        except (KeyError, ValueError, AttributeError):
            red, green, blue = plain
        colors.append((red, green, blue))
    return colors


def read_members(results: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the classes of each group, none where the results do not say them."""
    members = results.get("members")
    if not isinstance(members, dict):
        return {}
    return {
        group: tuple(names)
        for group, names in members.items()
        if isinstance(names, list) and all(name in [*results["iou"]] for name in names)
    }
