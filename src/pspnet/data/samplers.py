"""The samples of each process, their order, and the seeds of their augmentation.

Both samplers are `DistributedSampler`s, so that Lightning keeps them and tells them the epoch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import DistributedSampler

from pspnet.data.dataset import ImageDataset, SegmentationDataset


class TrainingSampler(DistributedSampler[tuple[int, int]]):
    """Shuffles an epoch, deals it out in steps, and gives each sample a seed: `(index, seed)`.

    The samples of a step and their seeds depend on `seed`, the epoch and `batch_size` alone,
    neither on the number of processes or workers nor on any global generator. Up to
    `batch_size - 1` samples, different ones in each epoch, are left out.

    Args:
        dataset: the data set to sample from.
        seed: 0 or more.
        batch_size: samples of a step over all processes, a multiple of `world`.
        rank: this process, 0 to `world - 1`.
        world: number of processes.
        chances: chance of each sample to be drawn, (N,), of sum 1; a sample may be drawn several
            times in an epoch. None takes each sample at most once.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        *,
        seed: int,
        batch_size: int,
        rank: int = 0,
        world: int = 1,
        chances: np.ndarray | None = None,
    ) -> None:
        super().__init__(dataset, num_replicas=world, rank=rank, seed=seed, drop_last=True)
        self.size, self.batch_size = len(dataset), batch_size
        self.steps, self.chances = self.size // batch_size, chances
        self.first_step = 0  # of the next iteration; above 0 where a run continues in an epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = np.random.default_rng((self.seed, self.epoch))
        if self.chances is None:
            order = generator.permutation(self.size)
            seeds = generator.integers(2**63, size=self.size)[order]
        else:
            order = generator.choice(self.size, self.size, p=self.chances)
            seeds = generator.integers(2**63, size=self.size)
        return zip(self._mine(order), self._mine(seeds), strict=True)

    def _mine(self, order: np.ndarray) -> list[int]:
        """Return the part of an epoch's values that this process takes."""
        dealt = order[: self.steps * self.batch_size].reshape(
            self.steps, self.num_replicas, self.batch_size // self.num_replicas
        )
        mine: list[int] = dealt[self.first_step :, self.rank].ravel().tolist()
        return mine

    def __len__(self) -> int:
        return self.steps * self.batch_size // self.num_replicas


def rare_class_chances(counts: np.ndarray, temperature: float) -> np.ndarray:
    """Return the chance of each sample to be drawn, (N,), where rare classes are drawn more often.

    A class c that occurs is drawn with a probability proportional to exp((1 - f_c) / temperature),
    where f_c is its share of the labeled pixels, and then one of the images that have it (Hoyer et
    al., DAFormer, CVPR 2022, section 3.3).

    Args:
        counts: pixels of each class in each label, (N, C).
        temperature: above 0; the higher, the more equally classes are drawn.
    """
    there = counts > 0
    pixels = counts.sum(0)
    logits = np.where(pixels > 0, (1 - pixels / max(pixels.sum(), 1)) / temperature, -np.inf)
    if not there.any():
        return np.full(len(counts), 1 / len(counts))
    classes = np.exp(logits - logits.max())
    classes /= classes.sum()
    chances: np.ndarray = (there * (classes / np.maximum(there.sum(0), 1))).sum(1)
    chances /= chances.sum()
    return chances


class EvaluationSampler(DistributedSampler[int]):
    """Deals the samples out in order, each to exactly one process.

    `DistributedSampler` itself repeats samples until all processes have equally many, and the
    repeated ones would count twice. Here shares differ by up to one sample, and may be empty.

    Args:
        dataset: the data set to sample from.
        rank: this process, 0 to `world - 1`.
        world: number of processes.
    """

    def __init__(
        self, dataset: SegmentationDataset | ImageDataset, *, rank: int = 0, world: int = 1
    ) -> None:
        super().__init__(dataset, num_replicas=world, rank=rank, shuffle=False)
        self.indices = range(rank, len(dataset), world)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
