"""Lines on stderr that say which part is being measured, and how long a long one takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from pspnet.files.text import duration

Say = Callable[[str], None]
Item = TypeVar("Item")
PATIENCE = 10.0  # seconds until the rest of a part is estimated


def say(line: str) -> None:
    """Print a line on stderr at once."""
    print(line, file=sys.stderr, flush=True)


def silent(line: str) -> None:
    """Print nothing."""


def estimated(items: Iterable[Item], say: Say) -> Iterator[Item]:
    """Yield the items; say once, after ten seconds, how long those that are left will take."""
    start, said = time.monotonic(), not isinstance(items, Sized)
    for done, item in enumerate(items):
        took = time.monotonic() - start
        if not said and done and took >= PATIENCE:
            assert isinstance(items, Sized)
            said, total = True, len(items)
            say(f"  image {done} of {total}, about {duration(took / done * (total - done))} left")
        yield item
