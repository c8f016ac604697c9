"""An epoch over files on disk: reading, augmentation, transfer and training step, end to end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, cast

from PIL import Image
from torch import Tensor

from benchmarks.compare import Comparison, Variant
from benchmarks.plan import Case, Plan, Size
from benchmarks.published.augmentation import Stepwise
from benchmarks.published.loader import Batches
from benchmarks.sections.networks import OURS, PUBLISHED, Step, step_ours, step_published
from benchmarks.synthetic import MEAN, STD, random_image, random_label
from benchmarks.timing import Call
from pspnet.data import VOC
from pspnet.data.datamodule import SegmentationData
from pspnet.data.label_io import write_label
from pspnet.data.samplers import TrainingSampler

CACHED = f"{OURS}, cached"
LISTS = "ImageSets/Segmentation"
JPEG_QUALITY = 95
Pipeline = Literal["ours", "cached", "published"]


@dataclass(frozen=True)
class Epoch:
    """An epoch over VOC's training images in a folder.

    Args:
        root: folder of the data set.
        case: the training step.
        workers: number of loading processes.
    """

    root: Path
    case: Case
    workers: int


def comparisons(plan: Plan) -> Iterator[Comparison]:
    """Yield loading alone, then training, for each number of loading processes.

    Images that fill no batch are left out, as trainings do. The files last as long as the iterator.
    """
    case, size = plan.epoch_case(), plan.stored
    with TemporaryDirectory(prefix="pspnet-bench-") as folder:
        write_images(Path(folder), size=size, number=plan.images, classes=case.classes)
        for workers in plan.workers:
            epoch = Epoch(Path(folder), case, workers)
            files = (
                f"{plan.images} images of {size[1]}×{size[0]} (JPEG), {workers} loading processes"
            )
            for variants, work in (
                (loading_variants(epoch), f"to {case.size}×{case.size}, loading alone"),
                (training_variants(epoch), str(case)),
            ):
                yield Comparison(
                    "training epoch",
                    f"{files}, {workers} loading processes, {work}",
                    variants,
                    images=plan.images // case.batch * case.batch,
                    memory=False,
                )


def loading_variants(epoch: Epoch) -> list[Variant]:
    """Return pipelines up to the device, without a network."""
    return [
        Variant(OURS, partial(build, epoch, pipeline="ours", step=None)),
        Variant(CACHED, partial(build, epoch, pipeline="cached", step=None)),
        Variant(f"{PUBLISHED} pipeline", partial(build, epoch, pipeline="published", step=None)),
    ]


def training_variants(epoch: Epoch) -> list[Variant]:
    """Return ours, ours with cached files, our network on the published pipeline, all published."""
    ours = partial(step_ours, epoch.case)
    published = partial(step_published, epoch.case, matched=False)
    mixed = partial(build, epoch, pipeline="published", step=ours)
    return [
        Variant(OURS, partial(build, epoch, pipeline="ours", step=ours)),
        Variant(CACHED, partial(build, epoch, pipeline="cached", step=ours)),
        Variant(f"{PUBLISHED} pipeline, our network", mixed),
        Variant(PUBLISHED, partial(build, epoch, pipeline="published", step=published)),
    ]


def build(epoch: Epoch, *, pipeline: Pipeline, step: Callable[[], Step] | None) -> Call:
    """Return a call that runs one epoch, of loading alone where there is no step."""
    batches: Iterable[tuple[Tensor, Tensor]]
    if pipeline == "published":
        batches = published_batches(epoch)
    else:
        batches = OurBatches(epoch, cache=epoch.root / "cache" if pipeline == "cached" else None)
    train = step() if step else None

    def call() -> None:
        for image, label in batches:
            if train:
                train(image, label)

    return call


class OurBatches:
    """Training batches of this package's loader, normalized on the device."""

    def __init__(self, epoch: Epoch, *, cache: Path | None) -> None:
        self.device, self.epoch = epoch.case.device, 0
        self.data = SegmentationData(
            VOC(epoch.root, train_split="train"),
            crop_size=epoch.case.size,
            batch_size=epoch.case.batch,
            workers=epoch.workers,
            mean=MEAN,
            std=STD,
            cache=cache,
        )
        self.data.setup("fit")
        self.loader = self.data.train_dataloader()

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        cast(TrainingSampler, self.loader.sampler).set_epoch(self.epoch)
        self.epoch += 1
        for batch in self.loader:
            moved = {
                key: batch[key].to(self.device, non_blocking=True) for key in ("image", "label")
            }
            normalized = self.data.on_after_batch_transfer(moved, 0)
            yield normalized["image"], normalized["label"]


def published_batches(epoch: Epoch) -> Batches:
    """Return semseg's loader over the same files."""
    return Batches(
        VOC(epoch.root, train_split="train").samples("train"),
        transform=Stepwise(epoch.case.size, mean=MEAN, std=STD),
        batch=epoch.case.batch,
        workers=epoch.workers,
        device=epoch.case.device,
    )


def write_images(root: Path, *, size: Size, number: int, classes: int) -> None:
    """Write synthetic images in VOC's layout, with one list for training and validation."""
    for folder in ("JPEGImages", "SegmentationClass", LISTS):
        (root / folder).mkdir(parents=True)
    stems = [f"{index:04}" for index in range(number)]
    for index, stem in enumerate(stems):
        image = Image.fromarray(random_image(size, seed=index))
        image.save(root / "JPEGImages" / f"{stem}.jpg", quality=JPEG_QUALITY)
        ids = random_label(size, classes=classes, seed=index)
        write_label(root / "SegmentationClass" / f"{stem}.png", ids, None)
    for split in ("train", "val"):
        (root / LISTS / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
