"""Inert stand-ins for the harmless classes that mmengine's training checkpoints name.

Beside tensors and plain data, these files hold curves of losses and scores: mmengine's buffers of
numpy arrays. Nothing here needs them, so each of their names stands for one class that takes any
arguments, keeps nothing and runs nothing. The names that are not listed are refused as before.

Source of what is written: `Runner.save_checkpoint` and `HistoryBuffer` of open-mmlab/mmengine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.serialization import safe_globals


class StandIn:
    """An object without content in place of one that a file names."""

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> StandIn:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Take any state and keep nothing of it."""


NAMES = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",  # of the buffer's own methods, from mmengine 0.7.3 on; nothing is got
    *("numpy.ndarray", "numpy.dtype"),
    *("numpy.core.multiarray._reconstruct", "numpy.core.multiarray.scalar"),  # numpy 1
    *("numpy._core.multiarray._reconstruct", "numpy._core.multiarray.scalar"),  # numpy 2
)


@contextmanager
def stand_ins() -> Iterator[None]:
    """Let torch's reader of weights create stand-ins for the names above."""
    with safe_globals([(StandIn, name) for name in NAMES]):
        yield


def without_stand_ins(value: Any) -> Any:
    """Return plain data with None in place of each stand-in, and without entries named by one.

    Args:
        value: anything that `check_plain` has passed; what holds no stand-in is returned as it is.
    """
    if value is StandIn or isinstance(value, StandIn):
        return None
    if isinstance(value, dict):
        kept = {k: without_stand_ins(v) for k, v in value.items() if not _holds(k)}
        same = len(kept) == len(value) and all(kept[key] is value[key] for key in kept)
        return value if same else kept
    if isinstance(value, set):
        return {item for item in value if not _holds(item)}
    if isinstance(value, list | tuple):
        items = [without_stand_ins(item) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else items if isinstance(value, list) else tuple(items)
    return value


def _holds(key: Any) -> bool:
    """Return whether a stand-in is in what names an entry, a tuple perhaps."""
    return without_stand_ins(key) is not key
