"""Faults of an entry point: tracebacks, hangs, refusals that are unclear, senseless acceptances."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Protocol

from fuzz import folders
from fuzz.outcomes import outcome
from fuzz.parsers import Option
from fuzz.sensible import senseless
from fuzz.values import words

from pspnet.errors import one_line_errors


class Entry(Protocol):
    """A command or tool."""

    name: str

    def options(self) -> list[Option]:
        """Return its options."""

    def run(self, option: Option, value: str) -> None:
        """Run it with an option's value."""


@dataclass
class Count:
    """The ends of an entry point's cases, and what is wrong with some of them."""

    name: str
    options: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


def judged(entry: Entry, option: Option, value: str) -> tuple[str, str]:
    """Return the end of a case, "refused" or "sensible" where all is well, and what is said."""
    ended = outcome(lambda: entry.run(option, value), value=value)
    wrong = senseless(option, value) if ended.kind == "accepted" else None
    if wrong is not None:
        return "silent", wrong
    return {"accepted": "sensible"}.get(ended.kind, ended.kind), ended.said


def count(entry: Entry, *, each: int | None) -> Count:
    """Try the fixed values of every option, or `each` of them by chance."""
    found, start = Count(entry.name), perf_counter()
    for option in entry.options():
        found.options += 1
        values = words(option)
        chance = random.Random(f"{option.name} {option.words}")
        for value in values if each is None else chance.sample(values, min(each, len(values))):
            end, said = judged(entry, option, value)
            found.ends[end] += 1
            if end not in ("refused", "sensible"):
                found.faults.append(f"{entry.name} {option.name}={value[:60]!r}: {end}: {said}")
    found.seconds = perf_counter() - start
    return found


def broken_files(kind: str) -> Iterator[tuple[Path, str]]:
    """Yield each file that a kind of data set reads, with each way to break it."""
    write, _ = folders.KINDS[kind]
    folders.replace(Path("set"), write)
    for file in folders.files(Path("set"), kind=kind):
        for way in folders.WAYS:
            yield file, way


def judged_folder(kind: str, file: Path, way: str) -> tuple[str, str]:
    """Return the end of reading a data set with a broken file, as `judged`."""
    write, read = folders.KINDS[kind]
    folders.replace(Path("set"), write)
    folders.WAYS[way](Path("set") / file)
    ended = outcome(_one_line(lambda: read(Path("set"))), value="set")
    sensible = (*folders.SENSIBLE[file.suffix], *(("once more",) if kind == "SBD" else ()))
    if ended.kind == "accepted" and way not in sensible:
        return "silent", "a broken file was read"
    return {"accepted": "sensible"}.get(ended.kind, ended.kind), ended.said


def count_folder(kind: str) -> Count:
    """Break each file of a data set in each way."""
    found, start = Count(f"data of {kind}"), perf_counter()
    for file, way in list(broken_files(kind)):
        end, said = judged_folder(kind, file, way)
        found.ends[end] += 1
        if end not in ("refused", "sensible"):
            found.faults.append(f"{kind} {file}, {way}: {end}: {said}")
    found.options = len(folders.files(Path("set"), kind=kind))
    found.seconds = perf_counter() - start
    return found


def _one_line(read: Callable[[], None]) -> Callable[[], None]:
    def reading() -> None:
        with one_line_errors():
            read()

    return reading
