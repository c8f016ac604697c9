"""The check of a data set: all splits listed, all files read, all findings collected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.base import Sample, Source, Split
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.own_data.base import OwnData
from pspnet.data.facts.findings import Finding, Seen, file_errors
from pspnet.data.facts.forms import form_findings
from pspnet.data.facts.label_values import suspect_values, unknown_values
from pspnet.data.facts.scan import scan
from pspnet.errors import Findings, UserError
from pspnet.tools.check.duplicates import duplicate_findings
from pspnet.tools.check.pairs import pair_findings
from pspnet.tools.check.proposals import crop_findings, propose
from pspnet.tools.check.summary import (
    Summary,
    class_findings,
    color_findings,
    label_findings,
    summarize,
)

SPLITS: tuple[Split, ...] = ("train", "val", "test")
ORDER = ("error", "warning", "note")


@dataclass(frozen=True)
class Report:
    """All that a check found.

    Args:
        source: the data set.
        classes: its classes, or None where they cannot be read.
        summaries: the figures of each split that could be listed.
        findings: errors first.
        proposals: options as YAML, by what they are for.
        seen: all samples with their facts.
        seconds: the time that it took.
    """

    source: Source
    classes: Classes | None
    summaries: Sequence[Summary] = ()
    findings: Sequence[Finding] = ()
    proposals: dict[str, Any] = field(default_factory=dict)
    seen: Sequence[Seen] = ()
    seconds: float = 0.0

    def counted(self) -> dict[str, str]:
        """Return the number of findings of each level, as text."""
        levels = [str(it.level) for it in self.findings]
        return {
            level: f"{(count := levels.count(level))} {level}{'s' * (count != 1)}"
            for level in ORDER
        }

    @property
    def failed(self) -> bool:
        """True if anything is an error."""
        return any(it.level == "error" for it in self.findings)


def check(data: SegmentationData, *, workers: int, bar: bool = False) -> Report:
    """Read all files of a data set.

    Args:
        data: the data; nothing of it need be set up.
        workers: loading processes.
        bar: show a progress bar on stderr.
    """
    begun, source = monotonic(), data.source
    findings: list[Finding] = []
    try:
        source.prepare()
        classes = data.classes
        _ = source.label_code
    except UserError as error:
        return Report(source, None, findings=_errors(error), seconds=monotonic() - begun)
    listed = _listed(source, findings)
    seen = _read(source, listed, workers=workers, bar=bar)
    summaries = [
        summarize(split, [it for it in seen if it.split == split], len(classes)) for split in listed
    ]
    findings += [Finding("note", "files", line) for line in source.notes]
    findings += color_findings(classes)
    findings += file_errors(seen)
    for find in (
        *(suspect_values, unknown_values, form_findings),
        *(duplicate_findings, pair_findings),
    ):
        findings += find(source, seen)
    findings += class_findings(classes.names, summaries) + label_findings(seen, summaries)
    findings += crop_findings(data, seen)
    findings.sort(key=lambda it: ORDER.index(it.level))
    proposals = propose(data, seen, classes)
    return Report(source, classes, summaries, findings, proposals, seen, monotonic() - begun)


def _errors(error: UserError) -> list[Finding]:
    lines = error.lines if isinstance(error, Findings) else (str(error),)
    return [Finding("error", "layout", line) for line in lines]


def _listed(source: Source, findings: list[Finding]) -> dict[str, list[Sample]]:
    """Return the samples of each split; what cannot be listed becomes a finding."""
    listed: dict[str, list[Sample]] = {}
    known: set[str] = set()
    for split in SPLITS:
        try:
            listed[split] = source.samples(split)
        except UserError as error:
            optional = split == "test" and not isinstance(error, Findings)
            its = _errors(error)
            if optional:
                its = [Finding("note", "layout", f"no test split: {error}")]
            findings += [it for it in its if it.text not in known]
            known |= {it.text for it in its}
    if "train" not in listed and isinstance(source, OwnData):
        listed = _undivided(source)
    for name, samples in listed.items():
        if name != "test":
            findings += [
                Finding("error", "file", f"{it.image} has no label; add it")
                for it in samples
                if it.label is None and name != "undivided"
            ]
    return listed


def _undivided(source: OwnData) -> dict[str, list[Sample]]:
    """Return all images that there are, where lists or missing files forbid to divide them."""
    try:
        entries = source.entries()
    except UserError:
        return {}
    return {"undivided": [Sample(it.name, it.image, it.label) for it in entries]} if entries else {}


def _read(
    source: Source, listed: dict[str, list[Sample]], *, workers: int, bar: bool
) -> list[Seen]:
    pairs = [(split, sample) for split, samples in listed.items() for sample in samples]
    with Tqdm(total=len(pairs), desc="reading", unit=" images", disable=not bar) as progress:
        told = partial(progress.update)
        facts = scan(source, [sample for _, sample in pairs], workers=workers, progress=told)
    return [Seen(*pair, its) for pair, its in zip(pairs, facts, strict=True)]
