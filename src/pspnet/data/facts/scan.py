"""All samples of a data set, read in loading processes; what is remembered is not read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pspnet.data import loading_process
from pspnet.data.datasets.base import Sample, Source
from pspnet.data.facts.memory import Memory, state
from pspnet.data.facts.sample import Facts, read_facts
from pspnet.errors import Findings

Progress = Callable[[int], object]  # takes a number of samples that are done
BATCH = 4  # samples that a process reads at a time


def scan(
    source: Source, samples: Sequence[Sample], *, workers: int = 0, progress: Progress | None = None
) -> list[Facts]:
    """Read the facts of samples, in their order, and remember them.

    Args:
        source: the data set.
        samples: of any splits.
        workers: loading processes; 0 reads in this one.
        progress: is told whenever samples are done.
    """
    memory = Memory(source)
    tell = progress or (lambda done: None)
    facts = [memory.recall(sample) for sample in samples]
    absent = [index for index, known in enumerate(facts) if known is None]
    tell(len(samples) - len(absent))
    loader = DataLoader(
        _Reading(source, [samples[index] for index in absent]),
        batch_size=BATCH,
        collate_fn=list,
        num_workers=min(workers, len(absent) // BATCH),
        worker_init_fn=loading_process.begin,
        generator=torch.Generator(),  # the global one is the training's
    )
    remaining = iter(absent)
    try:
        for batch in loader:
            for (before, read), index in zip(batch, remaining, strict=False):
                facts[index] = read
                memory.keep(samples[index], before, read)
            tell(len(batch))
    finally:
        memory.save()
    return [known for known in facts if known is not None]


def label_counts(source: Source, samples: Sequence[Sample], workers: int = 0) -> np.ndarray:
    """Count the pixels of each train id in the labels of samples, (n, C + 1) int64.

    The last column counts ignored pixels. What was counted before is remembered.

    Raises:
        Findings: naming all files that are wrong.
    """
    facts = scan(source, samples, workers=workers)
    wrong = [line for known in facts for line in known.errors]
    if wrong:
        raise Findings(wrong)
    counts = [known.counts for known in facts]
    return np.stack(counts) if counts else np.zeros((0, len(source.classes) + 1), np.int64)


class _Reading(Dataset[tuple[str, Facts]]):
    def __init__(self, source: Source, samples: Sequence[Sample]) -> None:
        self.source, self.samples = source, samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[str, Facts]:
        sample = self.samples[index]
        before = state(sample)  # if a file changes while it is read, this is outdated
        return before, read_facts(self.source, sample)
