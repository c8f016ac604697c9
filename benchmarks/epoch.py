"""An epoch over files on disk: reading, augmentation, transfer and training step, end to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Literal, cast

import cv2
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.measure import Bench, Row, Side, compare
from benchmarks.networks import OURS, PUBLISHED, Case, Step, step_ours, step_published
from benchmarks.pictures import MEAN, STD, label, picture
from benchmarks.stepwise import Stepwise
from benchmarks.timing import Call
from pspnet.data import VOC
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.base import Sample
from pspnet.data.image_io import write_label
from pspnet.data.samplers import TrainingSampler

SECTION, CACHED = "training epoch", f"{OURS}, cached"
LISTS, QUALITY = "ImageSets/Segmentation", 95  # of the JPEGs
Size = tuple[int, int]  # height and width
Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]  # of an epoch, on the device
Pipeline = Literal["ours", "cached", "published"]


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


@dataclass(frozen=True)
class Run:
    """An epoch over VOC's training pictures in a folder, with loading processes."""

    root: Path
    case: Case
    workers: int


def measure(
    bench: Bench, case: Case, *, size: Size, pictures: int, workers: Sequence[int]
) -> Iterator[list[Row]]:
    """Rows of loading alone, and of training, for each number of loading processes.

    Args:
        bench: how.
        case: what is trained.
        size: of the pictures, JPEGs.
        pictures: how many; those that fill no batch are left out.
        workers: numbers of loading processes.
    """
    with TemporaryDirectory(prefix="pspnet-bench-") as folder:
        root = Path(folder)
        write_pictures(root, size=size, number=pictures, classes=case.classes)
        for processes in workers:
            run = Run(root, case, processes)
            title = (
                f"{pictures} pictures of {size[1]}×{size[0]} (JPEG), {processes} loading processes"
            )
            for sides, what in (
                (loading_sides(run), f"to {case.size}×{case.size}, loading alone"),
                (training_sides(run), str(case)),
            ):
                yield compare(
                    bench,
                    sides,
                    section=SECTION,
                    case=f"{title}, {what}",
                    images=pictures // case.batch * case.batch,
                    sized=False,
                )


def loading_sides(run: Run) -> list[Side]:
    """Ways to load, up to the device, without a network."""
    return [
        Side(OURS, partial(build, run, pipeline="ours", step=None)),
        Side(CACHED, partial(build, run, pipeline="cached", step=None)),
        Side(f"{PUBLISHED} pipeline", partial(build, run, pipeline="published", step=None)),
    ]


def training_sides(run: Run) -> list[Side]:
    """Ours, with decoded files too, our network behind the published pipeline, both published."""
    ours = partial(step_ours, run.case)
    published = partial(step_published, run.case, alike=False)
    return [
        Side(OURS, partial(build, run, pipeline="ours", step=ours)),
        Side(CACHED, partial(build, run, pipeline="cached", step=ours)),
        Side(
            f"{PUBLISHED} pipeline, our network",
            partial(build, run, pipeline="published", step=ours),
        ),
        Side(PUBLISHED, partial(build, run, pipeline="published", step=published)),
    ]


def build(run: Run, *, pipeline: Pipeline, step: Callable[[], Step] | None) -> Call:
    """A call goes through one epoch."""
    cache = run.root / "cache" if pipeline == "cached" else None
    batches = load_published(run) if pipeline == "published" else load_ours(run, cache=cache)
    train = step() if step else None

    def epoch() -> None:
        for image, ids in batches():
            if train:
                train(image, ids)

    return epoch


def load_ours(run: Run, *, cache: Path | None) -> Batches:
    """This package's loader, normalization on the device."""
    data = SegmentationData(
        VOC(run.root, train_split="train"),
        crop_size=run.case.size,
        batch_size=run.case.batch,
        workers=run.workers,
        mean=MEAN,
        std=STD,
        cache=cache,
    )
    data.setup("fit")
    loader = data.train_dataloader()
    epochs = count()

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        cast(TrainingSampler, loader.sampler).set_epoch(next(epochs))
        for batch in loader:
            image, ids = _moved((batch["image"], batch["label"]), run.case.device)
            on_device = data.on_after_batch_transfer({"image": image, "label": ids}, 0)
            yield on_device["image"], on_device["label"]

    return batches


def load_published(run: Run) -> Batches:
    """semseg's data set and loader."""
    files = Files(
        VOC(run.root, train_split="train").samples("train"),
        transform=Stepwise(run.case.size, mean=MEAN, std=STD),
    )
    loader = DataLoader(
        files,
        batch_size=run.case.batch,
        shuffle=True,
        drop_last=True,
        num_workers=run.workers,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=run.workers > 0,
        worker_init_fn=_one_thread,
    )

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for batch in loader:
            yield _moved(batch, run.case.device)

    return batches


def write_pictures(root: Path, *, size: Size, number: int, classes: int) -> None:
    """Painted pictures in VOC's layout, with the same list for training and validation."""
    for folder in ("JPEGImages", "SegmentationClass", LISTS):
        (root / folder).mkdir(parents=True)
    stems = [f"{index:04}" for index in range(number)]
    for index, stem in enumerate(stems):
        image = Image.fromarray(picture(size, seed=index))
        image.save(root / "JPEGImages" / f"{stem}.jpg", quality=QUALITY)
        ids = label(size, classes=classes, seed=index)
        write_label(root / "SegmentationClass" / f"{stem}.png", ids, None)
    for split in ("train", "val"):
        (root / LISTS / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))


def _moved(batch: Sequence[Tensor], device: str) -> tuple[Tensor, Tensor]:
    image, ids = (part.to(device, non_blocking=True) for part in batch)
    return image, ids


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # as semseg and this package do
