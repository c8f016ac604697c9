"""Refusals of label files, each with the ways to mend it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pspnet.errors import UserError

MOST = 8  # values or colors that a line proposes to ignore


def wrong_values(
    path: Path, stored: np.ndarray, table: np.ndarray, class_file: Path | None
) -> UserError:
    """Return the error about values that no class has.

    Args:
        path: the label file.
        stored: its values.
        table: the train id of each value, below 0 where it is refused.
        class_file: the classes.yaml that can ignore values, if there is one.
    """
    accepted = np.flatnonzero(table >= 0)
    wrong = np.setdiff1d(stored, accepted)
    if class_file is None:
        remedy = "correct the file, or choose the data set that it belongs to"
    else:
        remedy = f"correct the file, or {_ignore(wrong.tolist(), class_file)}"
    return UserError(
        f"{path} holds the label values {_ranges(wrong)}, but {_ranges(accepted)} are accepted;"
        f" {remedy}"
    )


def wrong_colors(path: Path, wrong: np.ndarray, class_file: Path | None) -> UserError:
    """Return the error about colors, (N, 3), that no class has, or several have."""
    some = ", ".join(str(tuple(map(int, color))) for color in wrong[:4])
    more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
    ignore = "" if class_file is None else f", or {_ignore(wrong.tolist(), class_file)}"
    return UserError(
        f"{path} holds the colors {some}{more}, which are those of no class, or of several;"
        f" correct the file or the classes' colors{ignore}; without colors, palettes are read by"
        " index"
    )


def colors_unknown(path: Path, mode: str, class_file: Path | None) -> UserError:
    """Return the error about a picture of colors where the classes' colors are not known."""
    give = ""
    if class_file is not None:
        give = f"give the classes' colors (`colors: [[red, green, blue], …]` in {class_file}), or "
    return UserError(
        f"{path} has pixels of mode {mode} where one class index per pixel is expected; {give}"
        "replace each color by its class's index and save the PNG in mode L or P"
    )


def _ignore(wrong: list[int] | list[list[int]], class_file: Path) -> str:
    which = str(wrong) if len(wrong) <= MOST else "[…]"
    return f"write `ignore: {which}` in {class_file}"


def _ranges(values: np.ndarray) -> str:
    """Return sorted integers as text: `0 to 20 and 255`."""
    runs = np.split(values, np.flatnonzero(np.diff(values) != 1) + 1)
    texts = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    if len(texts) > 8:  # a color image saved as gray has hundreds
        texts = [*texts[:7], f"{len(values) - sum(map(len, runs[:7]))} more"]
    return " and ".join([", ".join(texts[:-1])] * (len(texts) > 1) + texts[-1:])
