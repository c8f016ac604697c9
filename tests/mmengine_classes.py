"""The classes that mmengine's training checkpoints name, where the pickler finds them."""

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def mmengine() -> Iterator[type]:
    """Put a class of that module and name where the pickler finds it, while the block runs."""
    names = ("mmengine", "mmengine.logging", "mmengine.logging.history_buffer")
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    buffer = type("HistoryBuffer", (), {"__module__": names[-1], "__qualname__": "HistoryBuffer"})
    least = types.FunctionType((lambda self: 0).__code__, {}, "min")
    least.__module__, least.__qualname__ = names[-1], "HistoryBuffer.min"
    buffer.min = least  # type: ignore[attr-defined]
    # from 0.7.3 on, a buffer's state names its methods, which pickle gets by builtins.getattr
    buffer.__getstate__ = lambda self: {**vars(self), "methods": {"min": least}}  # type: ignore[attr-defined]
    sys.modules[names[-1]].HistoryBuffer = buffer  # type: ignore[attr-defined]
    try:
        yield buffer
    finally:
        for name in names:
            del sys.modules[name]
