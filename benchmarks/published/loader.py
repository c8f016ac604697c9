"""The published data set and loader: files on disk to batches on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.published.augmentation import Stepwise
from pspnet.data.datasets.base import Sample


class Files(Dataset[tuple[Tensor, Tensor]]):
    """Images and labels, read and augmented as semseg's data set does (its util/dataset.py)."""

    def __init__(self, samples: Sequence[Sample], *, transform: Stepwise) -> None:
        self.samples, self.transform = samples, transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self.samples[index]
        image = cv2.imread(str(sample.image), cv2.IMREAD_COLOR)
        ids = cv2.imread(str(sample.label), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        assert ids is not None
        return self.transform(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), ids, Random(index))


class Batches:
    """Shuffled training batches on the device, an epoch per iteration.

    Args:
        samples: paths of images and labels.
        transform: augmentation of each pair.
        batch: images per batch.
        workers: number of loading processes.
        device: device of the batches.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        transform: Stepwise,
        batch: int,
        workers: int,
        device: str,
    ) -> None:
        self.device = device
        self.loader = DataLoader(
            Files(samples, transform=transform),
            batch_size=batch,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=workers > 0,
            worker_init_fn=_one_thread,
        )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for image, label in self.loader:
            yield (
                image.to(self.device, non_blocking=True),
                label.to(self.device, non_blocking=True),
            )


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # as semseg and this package do
