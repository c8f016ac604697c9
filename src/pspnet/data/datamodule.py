"""The LightningDataModule: from a data set's files to batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

from pspnet.data import loading_process
from pspnet.data.announcement import (
    announce_splits,
    check_files,
    check_hint,
    left_out,
    padding,
)
from pspnet.data.cache import Cache
from pspnet.data.channels import RGB, Channels
from pspnet.data.dataset import ImageDataset, SegmentationDataset, collate
from pspnet.data.datasets.base import Sample, Source, Split
from pspnet.data.datasets.classes import Classes
from pspnet.data.facts import label_counts
from pspnet.data.image_io import LARGEST_SIDE
from pspnet.data.prediction_images import find_images
from pspnet.data.samplers import EvaluationSampler, TrainingSampler, rare_class_chances
from pspnet.data.shard import Shard
from pspnet.data.training_loader import StepSize, TrainingLoader
from pspnet.data.transforms.augmentation import Augmentation, AugmentationBase
from pspnet.data.transforms.normalize import IMAGENET_MEAN, IMAGENET_STD, normalize
from pspnet.errors import Findings, UserError
from pspnet.files.paths import local_path

if TYPE_CHECKING:
    import albumentations as A

T = TypeVar("T")
PUBLISHED = Augmentation()
BOUNDS = {
    "batch_size": (1, 65_536),
    "eval_batch_size": (1, 65_536),
    "workers": (0, 512),
    "seed": (0, 2**63 - 1),
}


class SegmentationData(lightning.LightningDataModule):
    """Batches of a data set: augmented crops for training, entire images for evaluation.

    A batch holds `image`, (N, C, H, W) float32, and `name`, N strings; training, validation and
    test batches hold `label`, (N, H, W) int64 of train ids and 255, training batches `seed`, N
    numbers, and prediction batches `size`, the (H, W) of each file. As the loaders give them,
    before they are on their device, labels are uint8, and images uint8 or uint16. Test batches hold
    no `label` where the benchmark withholds all labels and scores on its server. The same seed
    gives the same steps in each epoch, with any number of processes, workers and accumulated
    batches, also where a run continues after an interruption.

    Args:
        source: the data set.
        crop_size: height and width of the training crops in pixels, or one number for both.
        batch_size: training crops per optimizer step, over all processes and accumulated batches.
        eval_batch_size: images per process and step of validation and test; more than 1 needs
            images of one size.
        workers: loading processes per process; 0 loads in the process itself.
        augmentation: random changes of the training images.
        mean: mean per channel, 0 to 1, which is subtracted, and is the color of padding; None is
            what the encoder's pretrained weights expect (in Python ImageNet's), for RGB of 8 bits.
        std: standard deviation per channel, above 0, by which images are divided; None is likewise
            what the encoder's pretrained weights expect (in Python ImageNet's).
        seed: seed of order and augmentation, 0 or more.
        images: what to predict on, an image, a folder, a list (.txt) or a video, see
            `pspnet.data.prediction_images`; None predicts on the test split.
        cache: a folder that keeps decoded images and labels, 4 bytes per pixel of RGB, see
            `pspnet.data.cache.Cache`; None decodes each file whenever it is needed.
        rare_class_sampling: draw images with rare classes more often, by this temperature, such as
            0.01, see `pspnet.data.samplers.rare_class_chances`; None takes each image once.
        channels: names, bands and range of the images' channels.
        shard: part of the images that an evaluation or a prediction takes, such as 2/8, the second
            of eight parts; `pspnet score --merge` adds their results. None takes all.
        check: read some files before the first step of a training, for about half a second, and
            end it if one of them is wrong; `pspnet check` reads all.

    Raises:
        UserError: if a value is out of range.
    """

    def __init__(
        self,
        source: Source,
        crop_size: int | tuple[int, int] = 473,
        batch_size: int = 16,
        eval_batch_size: int = 1,
        workers: int = 2,
        augmentation: AugmentationBase = PUBLISHED,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        seed: int = 0,
        images: str | Path | None = None,
        cache: str | Path | None = None,
        rare_class_sampling: float | None = None,
        check: bool = True,
        channels: Channels = RGB,
        shard: str | None = None,
    ) -> None:
        super().__init__()
        self.source, self.channels = source, channels
        source.channels = channels
        self.crop_size = (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.workers = workers
        self.augmentation = augmentation
        self.mean, self.std = IMAGENET_MEAN if mean is None else mean, std or IMAGENET_STD
        self.normalizes = channels.is_rgb or not (mean is None or std is None)
        if not self.normalizes:  # as for `check`, which proposes them
            self.mean, self.std = (0.5,) * len(channels), (1.0,) * len(channels)
        self.seed = seed
        self.shard = None if shard is None else Shard.of(shard)
        self.images = None if images is None else local_path(images, option="data.images")
        self.cache = None if cache is None else local_path(cache, option="data.cache")
        self.rare_class_sampling, self.check = rare_class_sampling, check
        self._check()

    def _check(self) -> None:
        if not 1 <= min(self.crop_size) <= max(self.crop_size) <= LARGEST_SIDE:
            raise UserError(f"crop_size={self.crop_size}: give pixels, 1 to {LARGEST_SIDE}")
        for name, (least, greatest) in BOUNDS.items():
            if not least <= getattr(self, name) <= greatest:
                raise UserError(f"{name}={getattr(self, name)}: give {least} to {greatest}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != len(self.channels):
                raise UserError(
                    f"{name}={[*values]}: give {len(self.channels)} values, one per channel of "
                    f"data.channels.names={[*self.channels.names]}"
                )
        if not all(0 <= value <= 1 for value in self.mean):
            raise UserError(f"mean={self.mean}: give shares of full intensity, 0 to 1")
        if self.rare_class_sampling is not None and not 0 < self.rare_class_sampling < math.inf:
            raise UserError(
                f"rare_class_sampling={self.rare_class_sampling}: give a temperature above 0"
            )
        if not all(0 < value <= 1 for value in self.std):
            raise UserError(f"std={self.std}: give shares of full intensity, above 0 and up to 1")

    @property
    def classes(self) -> Classes:
        """The data set's classes, in the order of the train ids."""
        with _asking_for_root(self.source):
            return self.source.classes

    def prepare_data(self) -> None:
        """Let the data set create its files, unless the run only predicts on images."""
        predicting = self.trainer is not None and self.trainer.predicting
        if not predicting:
            self.source.prepare()
        elif self.images is None:
            with _instead_of_images():
                self.source.prepare()

    def setup(self, stage: str) -> None:
        """List the files of the splits that a stage (fit, validate, test or predict) reads.

        Raises:
            UserError: if a file is missing, a split to train on or to score lacks labels (a test
                split may lack all where the benchmark has a server), a split has fewer images
                than a training batch, processes or shards need, or a training gets a shard.
        """
        if not self.normalizes:
            raise UserError(
                "data.mean and data.std: give both for other channels than RGB of 8 bits; python -m"
                " pspnet check with the same options of data proposes them"
            )
        if stage == "fit" and self.shard is not None:
            raise UserError(f"data.shard={self.shard}: a training takes all images; leave it out")
        if stage == "fit":
            self.train_set = self._train_set()
            self._chances = self._sampling_chances()
            if self.trainer is not None:  # `show` trains nothing
                rank_zero_info(f"batch: {self._step()}")
        if stage in ("fit", "validate"):
            self.val_set = self._dataset(self._enough(self.samples("val")))
        if stage == "fit":
            train, sampled = self.train_set.samples, self._chances is not None
            rest = "" if sampled else left_out(len(train), self.batch_size)
            small = padding(train, self.augmentation, self.crop_size)
            announce_splits(self.source, train, self.val_set.samples, (rest, small))
            self._check_files()
        if stage == "test":
            self.test_set = self._dataset(self._enough(self.samples("test")))
            if self.shard is not None and self.submits:
                raise UserError(
                    f"data.shard={self.shard}: the server takes the whole test split; leave it out"
                )
        if stage == "predict":
            samples = self._enough(self._predict_samples())
            self.predict_set = ImageDataset(samples, channels=self.channels)

    @property
    def submits(self) -> bool:
        """True if the test split, once set up, has no labels, so that a server must score it."""
        return self.test_set.samples[0].label is None

    def samples(self, split: Split) -> list[Sample]:
        """List a split to train on or to score.

        Raises:
            UserError: if the data set is not there or incomplete, or labels are missing; a test
                split may lack all where the benchmark has a server.
        """
        with _asking_for_root(self.source):
            samples = self.source.samples(split)
        missing = [sample for sample in samples if sample.label is None]
        withheld = split == "test" and self.source.server is not None
        if missing and not (withheld and len(missing) == len(samples)):
            raise UserError(
                f"{missing[0].image} has no label, but the {split} split is to be trained on or"
                " scored; add its label, or run predict, which needs none"
            )
        return samples

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Load shuffled, augmented crops; a last batch that is not full is left out."""
        rank, world = self._process()
        step = self._step()
        sampler = TrainingSampler(
            self.train_set,
            seed=self.seed,
            batch_size=step.images,
            rank=rank,
            world=world,
            chances=self._chances,
        )
        return TrainingLoader(
            self.train_set,
            position=self._position,
            parts=step.accumulated,
            drop_last=True,
            **self._loader_options(sampler, batch_size=step.share),
        )

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Load entire images of the val split, each once over all processes."""
        return self._eval_loader(self.val_set, batch_size=self.eval_batch_size)

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Load entire images of the test split, each once over all processes."""
        return self._eval_loader(self.test_set, batch_size=self.eval_batch_size)

    def predict_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Load entire images one at a time, each once over all processes."""
        return self._eval_loader(self.predict_set, batch_size=1)

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Normalize the images of a batch, and cast its labels to int64, on their device."""
        image = normalize(batch["image"], mean=self.mean, std=self.std)
        if self.trainer is not None:  # its precision converts a batch before the transfer
            image = self.trainer.precision_plugin.convert_input(image)
        labels = {key: batch[key].long() for key in batch if key in ("label", "step_label")}
        return {**batch, "image": image, **labels}

    def _train_set(self) -> SegmentationDataset:
        samples = self.samples("train")
        callbacks = [] if self.trainer is None else self.trainer.callbacks  # type: ignore[attr-defined]
        if any(isinstance(callback, GradientAccumulationScheduler) for callback in callbacks):
            raise UserError(
                "GradientAccumulationScheduler: data.batch_size is the total of every step; use "
                "trainer.accumulate_grad_batches"
            )
        if len(samples) < self.batch_size:
            raise UserError(
                f"batch_size={self.batch_size}: the train split has {len(samples)} images; lower "
                "data.batch_size"
            )
        for name in ("photometric", "extra"):
            if getattr(self.augmentation, name, None) and not self.channels.is_rgb:
                raise UserError(
                    f"data.augmentation.{name}: changes RGB of 8 bits alone; leave it out"
                )
        transform = self.augmentation.build(crop_size=self.crop_size, mean=self.mean)
        return self._dataset(samples, transform=transform)

    def label_counts(self) -> np.ndarray:
        """Count the pixels of each class in each training label, (N, C) int64.

        The first process reads the labels, and remembers the counts; all processes return them.

        Raises:
            Findings: naming all files that are wrong.
        """
        samples = self.train_set.samples
        with _asking_for_root(self.source):
            return self._once(lambda: label_counts(self.source, samples, self.workers)[:, :-1])

    def _sampling_chances(self) -> np.ndarray | None:
        if self.rare_class_sampling is None:
            return None
        return rare_class_chances(self.label_counts(), self.rare_class_sampling)

    def _check_files(self) -> None:
        if self.check:
            splits = (self.train_set.samples, self.val_set.samples)
            self._once(lambda: check_files(self.source, *splits))

    def _once(self, compute: Callable[[], T]) -> T:
        """Compute on the first process, and return its result, or raise its error, on all."""
        rank, _ = self._process()
        result: T | UserError | None = None
        try:
            result = compute() if rank == 0 else None
        except UserError as error:
            result = error
        if self.trainer is not None:
            result = self.trainer.strategy.broadcast(result)
        if isinstance(result, UserError):
            raise result
        return cast("T", result)

    def _predict_samples(self) -> list[Sample]:
        if self.images is not None:
            return find_images(self.images)
        with _instead_of_images():
            return self.source.samples("test")

    def _enough(self, samples: list[Sample]) -> list[Sample]:
        if self.shard is not None:
            samples = self.shard.part(samples)
        # Lightning stops at a process without a batch too, but does not name the remedy
        _, world = self._process()
        if len(samples) < world:
            raise UserError(
                f"{len(samples)} images for {world} processes; set trainer.devices to"
                f" {len(samples)} or less"
            )
        return samples

    def _dataset(
        self, samples: list[Sample], *, transform: A.Compose | None = None
    ) -> SegmentationDataset:
        return SegmentationDataset(
            samples,
            read_label=self.source.read_label,
            hint=partial(check_hint, self.source),
            read_weight=self.source.read_weight if transform is None else None,
            transform=transform,
            cache=None
            if self.cache is None
            else Cache(self.cache, label_key=self.source.label_code.key, channels=self.channels),
            channels=self.channels,
        )

    def _process(self) -> tuple[int, int]:
        """Return rank of this process and number of processes."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _step(self) -> StepSize:
        _, world = self._process()
        accumulated = 1 if self.trainer is None else self.trainer.accumulate_grad_batches
        return StepSize(self.batch_size, processes=world, accumulated=accumulated)

    def _position(self) -> int:
        """Return how many of the epoch's batches have been trained on."""
        if self.trainer is None:
            return 0
        return self.trainer.fit_loop.epoch_loop.batch_progress.current.ready

    def _eval_loader(
        self, dataset: SegmentationDataset | ImageDataset, *, batch_size: int
    ) -> DataLoader[dict[str, Any]]:
        rank, world = self._process()
        sampler = EvaluationSampler(dataset, rank=rank, world=world)
        return DataLoader(dataset, **self._loader_options(sampler, batch_size=batch_size))

    def _loader_options(
        self, sampler: TrainingSampler | EvaluationSampler, *, batch_size: int
    ) -> dict[str, Any]:
        return {
            "sampler": sampler,
            "batch_size": batch_size,
            "num_workers": self.workers,
            "collate_fn": collate,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": loading_process.begin,
            "persistent_workers": self.workers > 0,
            # otherwise each start of workers would draw from the global generator, and so change
            # the network's own draws
            "generator": torch.Generator(),
        }


@contextmanager
def _asking_for_root(source: Source) -> Iterator[None]:
    """Name the remedy where a data set's folder is not there, or several files may be wrong."""
    try:
        yield
    except Findings as error:
        raise Findings(error.lines, check_hint(source)) from error
    except UserError as error:
        root = getattr(source, "root", None)
        if root is None or Path(root).exists():
            raise
        own = str(error).startswith(f"{root} ")
        reason = error if own else f"{root}: no such folder ({error})"
        raise UserError(f"{reason}; give --data.source.root=FOLDER") from error


@contextmanager
def _instead_of_images() -> Iterator[None]:
    """Ask for images where the test split, which stands in for them, is not to be had."""
    try:
        yield
    except UserError as error:
        reason = str(error).rpartition("; ")[0] or error  # its remedy is not asked for
        raise UserError(
            "data.images: give an image, a folder, a list or a video to predict on; there is no "
            f"test split in their place ({reason})"
        ) from error
