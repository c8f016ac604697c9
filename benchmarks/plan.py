"""The work that is measured, and its sizes: a quick form for a CPU, a full one for a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from pspnet.data.datasets.classes import IGNORE
from pspnet.errors import UserError
from pspnet.models.pspnet import SMALLEST_SIDE, PSPNet

SECTIONS = (
    *("step", "inference", "forms", "augmentation", "evaluation", "epoch"),
    *("growth", "reliability"),
)
DTYPE_NAMES = {torch.bfloat16: "bf16", torch.float32: "float32"}
PAPER_BINS = (1, 2, 3, 6)
VOC_CLASSES = 21
REGION = 32  # pixels, side of a label's regions
Task = Literal["training step", "inference"]
Size = tuple[int, int]  # height and width
Bins = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """The work of one network.

    Args:
        task: a step of training (forward, loss, backward, SGD), or class maps.
        encoder: name of the encoder.
        size: side of square images, 8n + 1 pixels.
        classes: number of classes.
        batch: images per call.
        device: device of the network.
        dtype: type of this package's products, bfloat16 or float32.
        bins: bins of the pyramid.
    """

    task: Task
    encoder: str
    size: int
    classes: int
    batch: int
    device: str
    dtype: torch.dtype
    bins: Bins = PAPER_BINS

    def __str__(self) -> str:
        bins = "" if self.bins == PAPER_BINS else f", bins {list(self.bins)}"
        return (
            f"{self.encoder}, {self.size}×{self.size}, {self.classes} classes, "
            f"batch {self.batch}{bins}"
        )

    def network(self) -> PSPNet:
        """Build the network, with the same weights at each call."""
        torch.manual_seed(0)
        with torch.device(self.device):
            return PSPNet(self.classes, encoder=self.encoder, bins=self.bins)

    def autocast(self) -> torch.autocast:
        """Return the context in which this package computes."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def images(self, *, size: int | None = None) -> Tensor:
        """Draw normalized images (N, 3, size, size) float32; None is the case's size."""
        size = size or self.size
        generator = torch.Generator().manual_seed(1)
        return torch.randn(self.batch, 3, size, size, generator=generator).to(self.device)

    def labels(self, *, size: int | None = None) -> Tensor:
        """Draw labels (N, size, size) int64: regions of all classes and ignored ones."""
        size = size or self.size
        generator = torch.Generator().manual_seed(2)
        cells = -(-size // REGION)
        drawn = torch.randint(self.classes + 1, (self.batch, cells, cells), generator=generator)
        label = drawn.repeat_interleave(REGION, 1).repeat_interleave(REGION, 2)[:, :size, :size]
        return label.where(label < self.classes, IGNORE).to(self.device)


@dataclass(frozen=True)
class Growth:
    """Values of which one at a time differs from the first of each."""

    batches: tuple[int, ...]
    sizes: tuple[int, ...]
    classes: tuple[int, ...]
    bins: tuple[Bins, ...]


@dataclass(frozen=True)
class Plan:
    """Sections and sizes of a run.

    Args:
        sections: some of `SECTIONS`, in this order.
        encoders: names of encoders.
        sizes: sides of square images, 8n + 1 pixels.
        classes: numbers of classes.
        batches: images per training step.
        inference_batches: images per forward pass.
        memory_classes: numbers of classes for which a step's memory is measured, without its time.
        rounds: repetitions of each time.
        minutes: after which no further comparison begins; None measures all.
        image: size of the image that is augmented.
        crop: side of the augmented crop.
        evaluated: size of the image that is evaluated, in windows of the largest of `sizes`.
        evaluated_classes: number of classes of that evaluation.
        growth: values of the section "growth".
        stored: size of the epoch's images on disk.
        images: number of the epoch's images.
        workers: numbers of loading processes.
        device: device of all networks.
        dtype: type of this package's products.
    """

    sections: tuple[str, ...] = ("step", "inference", "augmentation")
    encoders: tuple[str, ...] = ("tu-resnet50s",)
    sizes: tuple[int, ...] = (473,)
    classes: tuple[int, ...] = (21,)
    batches: tuple[int, ...] = (2,)
    inference_batches: tuple[int, ...] = (1,)
    memory_classes: tuple[int, ...] = (150,)
    rounds: int = 5
    minutes: float | None = None
    image: Size = (1024, 2048)
    crop: int = 713
    evaluated: Size = (256, 512)
    evaluated_classes: int = 19
    growth: Growth = Growth((2, 4), (233, 353), (21, 150), (PAPER_BINS, (), (1,)))
    stored: Size = (375, 500)
    images: int = 32
    workers: tuple[int, ...] = (0, 2)
    device: str = "cpu"
    dtype: torch.dtype = torch.float32

    def check(self) -> None:
        """Refuse wrong sizes and encoders now, not after an hour.

        Raises:
            UserError: for a size that the published formulation does not take, or an encoder that
                is unknown or cannot be dilated.
        """
        for size in self.sizes:
            if size < SMALLEST_SIDE or size % 8 != 1:
                raise UserError(
                    f"size={size}: the published formulation takes 8n + 1 pixels, such as 473"
                )
        for encoder in self.encoders:
            with torch.device("meta"):
                PSPNet(2, encoder=encoder)

    def cases(self, task: Task) -> list[Case]:
        """Return every combination of encoders, sizes, classes and batches."""
        batches = self.batches if task == "training step" else self.inference_batches
        return [
            Case(task, encoder, size, classes, batch, self.device, self.dtype)
            for encoder in self.encoders
            for size in self.sizes
            for classes in self.classes
            for batch in batches
        ]

    def memory_cases(self) -> list[Case]:
        """Return the training steps whose memory alone is measured."""
        return replace(self, classes=self.memory_classes).cases("training step")

    def evaluation_case(self) -> Case:
        """Return the network that evaluates, on its windows."""
        encoder, size, classes = self.encoders[0], max(self.sizes), self.evaluated_classes
        return Case("inference", encoder, size, classes, 1, self.device, self.dtype)

    def epoch_case(self) -> Case:
        """Return the network that is trained for an epoch, on VOC's classes."""
        encoder, size, batch = self.encoders[0], max(self.sizes), self.batches[0]
        return Case("training step", encoder, size, VOC_CLASSES, batch, self.device, self.dtype)

    def growth_cases(self) -> Iterator[tuple[str, Case]]:
        """Yield training steps, each with the name of the value that alone differs."""
        grow = self.growth
        first = Case(
            *("training step", self.encoders[0], grow.sizes[0], grow.classes[0], grow.batches[0]),
            *(self.device, self.dtype, grow.bins[0]),
        )
        yield from (("batch", replace(first, batch=value)) for value in grow.batches)
        yield from (("size", replace(first, size=value)) for value in grow.sizes)
        yield from (("classes", replace(first, classes=value)) for value in grow.classes)
        yield from (("bins", replace(first, bins=value)) for value in grow.bins)


QUICK = Plan()
FULL = Plan(
    sections=SECTIONS,
    encoders=("tu-resnet50s", "resnet18", "tu-resnet101s", "vgg16_bn"),
    sizes=(473, 713),
    classes=(21, 150),
    batches=(16,),
    memory_classes=(),
    rounds=15,
    minutes=9,
    evaluated=(1024, 2048),
    growth=Growth(
        batches=(8, 1, 2, 4, 16, 32),
        sizes=(473, 233, 353, 593, 713),
        classes=(21, 2, 150, 300),
        bins=(PAPER_BINS, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 6, 8)),
    ),
    stored=(1024, 2048),
    images=256,
    workers=(4, 8, 16),
)
