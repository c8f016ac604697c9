"""Plain data in Python source, read without running it: the configurations in checkpoints."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from pspnet.errors import UserError


def assignments(text: str) -> dict[str, Any]:
    """Return the assignments of plain data in a configuration; later ones update earlier ones.

    Raises:
        UserError: if it is not Python source.
    """
    # mmcv's older `Config.text` is each file's path and source in turn
    source = re.sub(r"(?m)^\S+\.py$", "", text)
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(
            f"the configuration in its meta is not Python source ({type(error).__name__}); take it "
            "out of meta to load the file as one of the published D8 networks"
        ) from error
    config: dict[str, Any] = {}
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            config[name] = _updated(config.get(name), _data(statement.value, config))
    return config


def first_of(kind: type | tuple[type, ...], *values: Any) -> Any:
    """Return the first value of a kind that is not empty; None if there is none."""
    return next((value for value in values if isinstance(value, kind) and value), None)


def section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an entry that is a mapping; an empty one for anything else."""
    value = config.get(name)
    return value if isinstance(value, dict) else {}


def integers(values: Any) -> TypeGuard[tuple[int, ...]]:
    """Return whether a value is a tuple of at least one integer, and of nothing else."""
    return isinstance(values, tuple) and bool(values) and all(type(v) is int for v in values)


def sides(value: Any) -> tuple[int, int] | None:
    """Return height and width given as one or two sides in pixels; None for anything else."""
    both = (value, value) if type(value) is int else value
    return (both[0], both[1]) if integers(both) and len(both) == 2 and min(both) > 0 else None


def _data(node: ast.expr | None, names: Mapping[str, Any]) -> Any:
    """Evaluate an expression of plain data; None if it is more than that."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names.get(name)
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(_data(item, names) for item in items)
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {k.value: _data(v, names) for k, v in pairs if isinstance(k, ast.Constant)}
        case ast.Call(func=ast.Name(id="dict"), keywords=keywords):
            return {word.arg: _data(word.value, names) for word in keywords}
    return None


def _updated(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: _updated(old.get(key), value) for key, value in new.items()}}
