"""What is measured at which sizes: a quick form for a CPU, and a full one for a GPU."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from benchmarks.networks import Case, Task
from pspnet.models.pspnet import SMALLEST_SIDE, PSPNet
from pspnet.precision import Precision

VOC_CLASSES = 21
SECTIONS = ("step", "inference", "augmentation", "evaluation", "epoch", "growth")
Size = tuple[int, int]  # height and width
Bins = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """Sections and sizes.

    Args:
        sections: which of `SECTIONS`, in this order.
        encoders: names.
        sizes: of square images, 8n + 1 pixels.
        classes: numbers of them.
        batches: images of a step.
        inference_batches: images of a pass.
        sized_classes: numbers of classes of which the memory of a step is measured, not the time.
        rounds: of all times.
        picture: of the augmentation, cut to `crop`.
        crop: its side.
        evaluated: size of the picture that is evaluated, with windows of the greatest of `sizes`.
        evaluated_classes: number of classes.
        growing: batches, sizes, numbers of classes and bins, of which one at a time differs from
            the first of each.
        stored: size of the epoch's pictures on disk.
        pictures: how many.
        workers: loading processes.
    """

    sections: tuple[str, ...] = ("step", "inference", "augmentation")
    encoders: tuple[str, ...] = ("tu-resnet50s",)
    sizes: tuple[int, ...] = (473,)
    classes: tuple[int, ...] = (21,)
    batches: tuple[int, ...] = (2,)
    inference_batches: tuple[int, ...] = (1,)
    sized_classes: tuple[int, ...] = (150,)
    rounds: int = 5
    picture: Size = (1024, 2048)
    crop: int = 713
    evaluated: Size = (256, 512)
    evaluated_classes: int = 19
    growing: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[Bins, ...]] = (
        (2, 4),
        (233, 353),
        (21, 150),
        ((1, 2, 3, 6), (), (1,)),
    )
    stored: Size = (375, 500)
    pictures: int = 32
    workers: tuple[int, ...] = (0, 2)

    def __post_init__(self) -> None:
        for size in self.sizes:
            if size < SMALLEST_SIDE or size % 8 != 1:
                raise ValueError(
                    f"size={size}: the published formulation takes 8n + 1 pixels, such as 473"
                )
        for encoder in self.encoders:
            with torch.device("meta"):  # refused now, not after an hour
                PSPNet(2, encoder=encoder)

    def cases(self, task: Task, *, device: torch.device, precision: Precision) -> list[Case]:
        """Of a section of networks, every combination."""
        batches = self.batches if task == "training step" else self.inference_batches
        return [
            Case(task, encoder, size, classes, batch, str(device), precision)
            for encoder in self.encoders
            for size in self.sizes
            for classes in self.classes
            for batch in batches
        ]

    def sized(self, *, device: torch.device, precision: Precision) -> list[Case]:
        """Steps of which the memory alone is measured."""
        few = replace(self, classes=self.sized_classes)
        return few.cases("training step", device=device, precision=precision)

    def evaluation(self, *, device: torch.device, precision: Precision) -> Case:
        """The network that evaluates, and its windows."""
        encoder, size = self.encoders[0], max(self.sizes)
        classes = self.evaluated_classes
        return Case("inference", encoder, size, classes, 1, str(device), precision)

    def epoch(self, *, device: torch.device, precision: Precision) -> Case:
        """The network that is trained for an epoch, on VOC's classes."""
        encoder, size, batch = self.encoders[0], max(self.sizes), self.batches[0]
        return Case("training step", encoder, size, VOC_CLASSES, batch, str(device), precision)

    def grown(self, *, device: torch.device, precision: Precision) -> list[tuple[str, list[Case]]]:
        """By what grows, the steps of which nothing else differs."""
        batches, sizes, classes, bins = self.growing
        first = Case(
            "training step",
            self.encoders[0],
            sizes[0],
            classes[0],
            batches[0],
            str(device),
            precision,
            bins[0],
        )
        return [
            ("batch", [replace(first, batch=batch) for batch in batches]),
            ("size", [replace(first, size=size) for size in sizes]),
            ("classes", [replace(first, classes=number) for number in classes]),
            ("bins", [replace(first, bins=sides) for sides in bins]),
        ]


QUICK = Plan()
FULL = Plan(
    sections=SECTIONS,
    encoders=("tu-resnet50s", "resnet18", "tu-resnet101s", "vgg16_bn"),
    sizes=(473, 713),
    classes=(21, 150),
    batches=(16,),
    sized_classes=(),
    rounds=15,
    evaluated=(1024, 2048),
    growing=(
        (8, 1, 2, 4, 16, 32),
        (473, 233, 353, 593, 713),
        (21, 2, 150, 300),
        ((1, 2, 3, 6), (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 6, 8)),
    ),
    stored=(1024, 2048),
    pictures=256,
    workers=(4, 8, 16),
)
