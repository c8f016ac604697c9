"""A network's structure: its modules, their attributes and hooks, but not the values of weights.

What was read off a network, as which of its layers may be folded, holds while its structure does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

_VALUES = (bool, int, float, str, bytes, type(None))


class Structure:
    """The parts of a network, kept to see later whether any has been replaced.

    It holds each module, the attributes of each, and the tensors, hooks and other things in its
    dictionaries and lists, by identity; numbers and texts by their values. A weight that is changed
    in place is the same weight.
    """

    def __init__(self, network: nn.Module) -> None:
        self._parts = [*_parts(network)]

    def is_that_of(self, network: nn.Module) -> bool:
        """Return whether nothing has been replaced, added or taken away since."""
        parts = [*_parts(network)]
        return len(parts) == len(self._parts) and all(map(_same, parts, self._parts))


def _parts(network: nn.Module) -> Iterator[tuple[Any, ...]]:
    for name, module in network.named_modules(remove_duplicate=False):
        yield name, module, type(module), type(module).forward
        for attribute, value in vars(module).items():
            if isinstance(value, dict):
                yield attribute, value, *value, *value.values()
            elif isinstance(value, list | tuple | set):
                yield attribute, *value
            else:
                yield attribute, value


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(
        a is b or (type(a) is type(b) and isinstance(a, _VALUES) and a == b)
        for a, b in zip(one, other, strict=True)
    )
