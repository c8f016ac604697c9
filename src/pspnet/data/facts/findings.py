"""Findings in a data set: faults, suspicions with their evidence, and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pspnet.data.datasets.base import Sample
from pspnet.data.facts.sample import Facts

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Seen:
    """A sample with the split that it belongs to and its facts."""

    split: str
    sample: Sample
    facts: Facts


@dataclass(frozen=True)
class Finding:
    """A finding.

    Args:
        level: "error" forbids to train; "warning" makes a training or its scores worse.
        kind: a word by which findings of one kind are grouped, such as `duplicate`.
        text: one line with the evidence, and a remedy where there is one.
        seen: the samples that it concerns.
    """

    level: Level
    kind: str
    text: str
    seen: Sequence[Seen] = ()


def file_errors(seen: Sequence[Seen]) -> list[Finding]:
    """Return a finding per fault of a file."""
    return [Finding("error", "file", line, [it]) for it in seen for line in it.facts.errors]
