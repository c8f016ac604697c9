"""Facts about files that were read before, in the user's cache folder."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import os
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pspnet.data import image_io, label_io
from pspnet.data.cache import file_state
from pspnet.data.datasets.base import Sample, Source
from pspnet.data.facts import edges, sample
from pspnet.data.facts.sample import Facts, arrays, from_plain, to_plain
from pspnet.errors import NotWritten
from pspnet.files.writing import make_folder, write_atomic


class Memory:
    """Facts about the samples of a source, remembered from one process to the next.

    They hold as long as both files of a sample have the same path, size, inode and times of change,
    the source means the same by its labels, and no code that reads them was edited. Faults are not
    remembered, as their causes may lie outside of the files. Where the folder cannot be read or
    written, nothing is remembered and nothing fails.

    Args:
        source: the data set.
    """

    def __init__(self, source: Source) -> None:
        root = getattr(source, "root", "")
        text = f"{_meaning(source)}\n{Path(root).absolute()}"
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        self.path = cache_folder() / f"facts-{digest[:24]}.npz"
        self.known, self.pictures = _load(self.path)
        self.fresh: dict[str, tuple[str, Facts]] = {}

    def recall(self, one: Sample) -> Facts | None:
        """Return what is remembered of a sample, or None."""
        entry = self.known.get(_place(one))
        if entry is None or entry[0] != state(one):
            return None
        return from_plain(entry[1], self.pictures[entry[2]])

    def keep(self, one: Sample, before: str, facts: Facts) -> None:
        """Remember the facts of a sample whose `state` was `before` when it was read."""
        if not facts.errors and before:
            self.fresh[_place(one)] = (before, facts)

    def save(self) -> None:
        """Write what is new, over what another process wrote meanwhile about the same samples."""
        if not self.fresh:
            return
        known, pictures = _load(self.path)
        rows = [(place, *entry) for place, entry in known.items() if place not in self.fresh]
        table = {place: (key, plain) for place, key, plain, _ in rows}
        table |= {place: (key, to_plain(facts)) for place, (key, facts) in self.fresh.items()}
        stack = [pictures[[row for *_, row in rows]]] if rows else []
        stack.append(np.stack([arrays(facts) for _, facts in self.fresh.values()]))
        content = io.BytesIO()
        text = np.frombuffer(json.dumps(table).encode(), np.uint8)
        np.savez(content, table=text, pictures=np.concatenate(stack))
        with suppress(NotWritten):
            make_folder(self.path.parent)
            write_atomic(self.path, content.getvalue(), durable=False)


def cache_folder() -> Path:
    """Return the folder below `XDG_CACHE_HOME`, or ~/.cache, in which facts are kept."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    # without a home folder the path cannot be written, and nothing is remembered
    base = Path(given) if Path(given).is_absolute() else Path(os.path.expanduser("~"), ".cache")  # noqa: PTH111
    return base / "pspnet"


def state(one: Sample) -> str:
    """Return the state of a sample's files, by which a change is known, "" where one is missing."""
    try:
        paths = [path for path in (one.image, one.label) if path is not None]
        return "\n".join(file_state(path.stat()) for path in paths)
    except OSError:
        return ""


def _place(one: Sample) -> str:
    return f"{one.name}\n{one.image.absolute()}\n{one.label and one.label.absolute()}"


def _meaning(source: Source) -> str:
    """Return a text that changes with the meaning of labels, and the code that reads files."""
    own = [sys.modules[kind.__module__] for kind in type(source).__mro__[:-2]]
    codes = {_code(module) for module in (image_io, label_io, edges, sample, *own)}
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    return f"{kind} {len(source.classes)} {source.label_code.key} {source.channels} {sorted(codes)}"


def _code(module: ModuleType) -> str:
    try:
        return hashlib.sha256(inspect.getsource(module).encode()).hexdigest()
    except (OSError, TypeError):  # typed in a notebook, or without source
        return ""


def _load(path: Path) -> tuple[dict[str, tuple[str, dict[str, Any], int]], np.ndarray]:
    nothing = np.zeros((0, 3, sample.THUMB, sample.THUMB), np.uint8)
    try:
        with np.load(path) as stored:
            table, pictures = json.loads(stored["table"].tobytes()), stored["pictures"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # none, or cut off
        return {}, nothing
    known = {place: (key, plain, row) for row, (place, (key, plain)) in enumerate(table.items())}
    return known, pictures
