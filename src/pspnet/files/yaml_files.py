"""YAML files that a user gives, read as plain data or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pspnet.errors import UserError
from pspnet.files.paths import is_file

MOST_BYTES, MOST_VALUES, DEEPEST = 4 * 2**20, 100_000, 100


def read_yaml(path: Path, *, expected: str = "a YAML file") -> Any:
    """Read a YAML file.

    Args:
        path: the file.
        expected: what is wanted there, for the error message.

    Raises:
        UserError: if there is no such file, or it holds no YAML of a sensible size.
    """
    if not is_file(path):
        raise UserError(f"{path}: no such file; give {expected}")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} is too large for a YAML file; give {expected}")
        text = path.read_text("utf-8-sig")
        node = yaml.compose(text, yaml.SafeLoader)
        if node is not None and _values(node, {}) > MOST_VALUES:
            raise UserError(f"{path} has more than {MOST_VALUES} values; write fewer aliases")
        return yaml.safe_load(text)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give {expected}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no UTF-8 text; give {expected}") from None
    except yaml.MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line + 1
        raise UserError(f"{path} is no YAML, line {line}: {error.problem}; correct it") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is no YAML ({reason}); correct it") from None


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """Return the number of values below a node, those behind an alias as often as it is used."""
    if id(node) not in known:
        known[id(node)] = 0  # an alias of what it stands in: jsonargparse would never return
        if isinstance(node, yaml.MappingNode):
            _refuse_doubles([key.value for key, _ in node.value])
        below = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for item in below for part in (item if isinstance(item, tuple) else (item,))]
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
        return known[id(node)]
    return known[id(node)] or MOST_VALUES + 1


def _refuse_doubles(keys: list[Any]) -> None:
    doubles = [key for key in keys if keys.count(key) > 1]
    if doubles:
        raise yaml.YAMLError(f"{doubles[0]!r} stands twice in one mapping")
