"""The known name that a misspelled one means.

This file imports nothing of ours, so that a wrong word is refused at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

UNKNOWN = re.compile(r"unrecognized arguments: (.*)")


def nearest(given: str, known: Iterable[str], *, at_least: float = 0.6) -> str | None:
    """Return the closest of the known names in any case, the first of several, or None.

    Args:
        given: the name.
        known: the known names.
        at_least: the similarity of difflib that it must have, 0 to 1.
    """
    ratios = {name: _likeness(name, given) for name in known}
    closest = max(ratios, key=lambda name: ratios[name], default=None)
    return closest if closest is not None and ratios[closest] >= at_least else None


def nearest_option(given: str, known: Iterable[str]) -> str | None:
    """Return the option that a wrong name means, or None.

    It is the one of the same last part, `data.batch_size` for `batch_size`; otherwise the closest
    of the same group, `data.batch_size` for `data.batchsize`; otherwise the closest last part to a
    name without a group; otherwise the closest of all.

    Args:
        given: the name, without dashes before it.
        known: names of options, the more important ones first.
    """
    names = {name.replace("-", "_"): name for name in known}
    given = given.replace("-", "_")
    group, _, last = given.rpartition(".")
    by_last: dict[str, str] = {}
    for name in names:
        by_last.setdefault(name.rpartition(".")[2], name)
    siblings = {name.rpartition(".")[2]: name for name in names if name.rpartition(".")[0] == group}
    if last in by_last:
        return names[by_last[last]]
    if close := nearest(last, siblings):
        return names[siblings[close]]
    if not group and (close := nearest(last, by_last, at_least=0.75)):
        return names[by_last[close]]
    close = nearest(given, names, at_least=0.8)
    return names[close] if close else None


def with_proposals(message: str, known: Iterable[str]) -> str:
    """Return argparse's line about unknown options with those that they may mean.

    Args:
        message: any line; one that is about something else is returned as it is.
        known: names of options, without dashes before them.
    """
    found = UNKNOWN.search(message)
    if found is None:
        return message
    # with dashes, or with a value
    given = re.findall(r"(?<!\S)(?:--([\w.-]+)|([\w.]+)(?==))", found[1])
    names = [*known]
    near = [nearest_option(dashed or plain, names) for dashed, plain in given]
    proposed = list(dict.fromkeys(f"--{name}" for name in near if name))
    return f"{message}; did you mean {' and '.join(proposed)}?" if proposed else message


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.casefold(), other.casefold()).ratio()
