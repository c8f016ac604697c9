"""Count how every entry point takes wrong and odd values, as a table in Markdown.

PYTHONPATH=src:tests python -m fuzz               every value, for a night
PYTHONPATH=src:tests python -m fuzz --each 8      eight values of every option, by chance
PYTHONPATH=src:tests python -m fuzz score data    entry points that begin so
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fuzz import folders, tools
from fuzz.commands import checkpoint, sandbox, stopped_before_computing, training
from fuzz.faults import Count, count, count_folder

ENDS = ("refused", "sensible", "silent", "traceback", "hang", "unclear", "stray")


def main() -> None:
    """Run the command line; exit with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("entries", nargs="*", help="beginnings of names of entry points")
    parser.add_argument("--each", type=int, help="values per option; all, if not given")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(f"| entry point | options or files | {' | '.join(ENDS)} | s |")
    print(f"|---|{'--:|' * (len(ENDS) + 2)}")
    faults = []
    with tempfile.TemporaryDirectory() as top, sandbox(Path(top)) as place:
        for found in counts(place, tuple(given.entries) or ("",), each=given.each):
            numbers = [found.options, *(found.ends[end] for end in ENDS), round(found.seconds)]
            print(f"| {found.name} | {' | '.join(map(str, numbers))} |", flush=True)
            faults += found.faults
    print("\n".join(["", *faults]))
    sys.exit(bool(faults))


def counts(place: Path, entries: tuple[str, ...], *, each: int | None) -> Iterator[Count]:
    """Yield the counts of each entry point whose name begins with one of `entries`."""
    for kind in folders.KINDS:
        if f"data of {kind}".startswith(entries):
            yield count_folder(kind)
    tools.write_inputs(place)
    with tools.stopped_before_computing():
        for tool in tools.TOOLS:
            if tool.name.startswith(entries):
                yield count(tool, each=each)
    for command in ("fit", "validate", "test", "predict"):
        if command.startswith(entries):
            trained = None if command == "fit" else checkpoint(place)
            with stopped_before_computing(command):
                yield count(training(command, trained=trained), each=each)


if __name__ == "__main__":
    main()
