"""The LightningDataModule: from a source's files to batches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import lightning
import torch
from torch.utils.data import DataLoader

from pspnet.data.cache import Cache
from pspnet.data.dataset import PictureDataset, SegmentationDataset, collate, find_pictures
from pspnet.data.datasets.base import Sample, Source, Split
from pspnet.data.datasets.classes import Classes
from pspnet.data.samplers import EvaluationSampler, TrainingSampler
from pspnet.data.transforms.pipeline import Augmentation, normalize, train_transform
from pspnet.errors import UserError

if TYPE_CHECKING:
    import albumentations as A

PUBLISHED = Augmentation()


class SegmentationData(lightning.LightningDataModule):
    """Batches of a data set, augmented for training and whole for evaluation.

    A batch holds `image`, (N, 3, H, W) float32, and `name`, N strings; training, validation and
    test batches hold `label`, (N, H, W) int64 of train ids and 255, prediction batches `size`, the
    (H, W) of each file. Until it is on its device, as the loaders give it, image and label are of
    uint8. Test batches hold no `label` where the benchmark keeps all of them back and scores on its
    server. The same seed gives the same batches, epoch by epoch, with any number of workers.

    Args:
        source: the data set.
        crop_size: height and width of the training crops in pixels, or one number for both.
        batch_size: training crops a process and step.
        eval_batch_size: images a process and step of validation and test; more than 1 needs images
            of one size.
        workers: loading processes a process; 0 loads in the process itself.
        augmentation: how the training images vary.
        mean: of R, G and B, 0 to 1; subtracted, and the color of padding.
        std: of R, G and B, above 0; divided by.
        seed: of order and augmentation, 0 or more.
        pictures: a picture or a folder of pictures to predict on; without it prediction runs over
            the source's test split.
        cache: a folder that keeps images and labels as they are decoded, 4 bytes a pixel, see
            `pspnet.data.cache.Cache`; None decodes each file whenever it is needed.

    Raises:
        ValueError: if a value is outside of its range.
    """

    def __init__(
        self,
        source: Source,
        crop_size: int | tuple[int, int] = 473,
        batch_size: int = 16,
        eval_batch_size: int = 1,
        workers: int = 2,
        augmentation: Augmentation = PUBLISHED,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        std: tuple[float, float, float] = (0.229, 0.224, 0.225),
        seed: int = 0,
        pictures: str | Path | None = None,
        cache: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.source = source
        self.crop_size = (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.workers = workers
        self.augmentation = augmentation
        self.mean = mean
        self.std = std
        self.seed = seed
        self.pictures = None if pictures is None else Path(pictures)
        self.cache = None if cache is None else Path(cache)
        self._check()

    def _check(self) -> None:
        if min(self.crop_size) < 1:
            raise UserError(f"crop_size={self.crop_size}: give pixels, 1 or more")
        for name, least in (("batch_size", 1), ("eval_batch_size", 1), ("workers", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name}={getattr(self, name)}: give {least} or more")
        if not all(0 <= value <= 1 for value in self.mean):
            raise UserError(f"mean={self.mean}: give shares of full intensity, 0 to 1")
        if not all(value > 0 for value in self.std):
            raise UserError(f"std={self.std}: give shares of full intensity, above 0")

    @property
    def classes(self) -> Classes:
        """The source's classes, in the order of the train ids."""
        return self.source.classes

    def prepare_data(self) -> None:
        """Lets the source make its files; not needed, and not done, to predict on pictures."""
        predicting = self.trainer is not None and self.trainer.predicting
        if not (predicting and self.pictures is not None):
            self.source.prepare()

    def setup(self, stage: str) -> None:
        """Lists the files of the splits that a stage (fit, validate, test or predict) reads.

        Raises:
            FileNotFoundError: naming the first path that is missing.
            OSError: if the cache's folder cannot be made.
            ValueError: if a split to learn or score lacks labels (of a test split all may be
                absent where the benchmark has a server), or has fewer images than one training
                batch or the processes of an evaluation need.
        """
        if stage == "fit":
            self.train_set = self._train_set()
        if stage in ("fit", "validate"):
            self.val_set = self._scored_set("val")
        if stage == "test":
            self.test_set = self._test_set()
        if stage == "predict":
            self.predict_set = self._predict_set()

    @property
    def submits(self) -> bool:
        """Whether the test split, once set up, has no labels, so that a server must score it."""
        return self.test_set.samples[0].label is None

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Shuffled, augmented crops; what does not fill a batch is left out."""
        rank, world = self._process()
        sampler = TrainingSampler(self.train_set, seed=self.seed, rank=rank, world=world)
        return self._loader(self.train_set, sampler, batch_size=self.batch_size, drop_last=True)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Whole images of the val split, each once over all processes."""
        return self._eval_loader(self.val_set, batch_size=self.eval_batch_size)

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Whole images of the test split, each once over all processes."""
        return self._eval_loader(self.test_set, batch_size=self.eval_batch_size)

    def predict_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Whole pictures one by one, each once over all processes."""
        return self._eval_loader(self.predict_set, batch_size=1)

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Normalizes the images of a batch, and widens its labels, on their device."""
        image = normalize(batch["image"], mean=self.mean, std=self.std)
        if self.trainer is not None:  # whose precision converts a batch before it is transferred
            image = self.trainer.precision_plugin.convert_input(image)
        widened = {"label": batch["label"].long()} if "label" in batch else {}
        return {**batch, "image": image, **widened}

    def _train_set(self) -> SegmentationDataset:
        samples = _labeled(self.source.samples("train"), split="train")
        _, world = self._process()
        if len(samples) < world * self.batch_size:
            raise UserError(
                f"batch_size={self.batch_size}: {world} x {self.batch_size} images make a step, and"
                f" the train split has {len(samples)}; lower data.batch_size"
            )
        transform = train_transform(self.augmentation, crop_size=self.crop_size, mean=self.mean)
        return self._set(samples, transform=transform)

    def _scored_set(self, split: Split) -> SegmentationDataset:
        return self._set(self._enough(_labeled(self.source.samples(split), split=split)))

    def _test_set(self) -> SegmentationDataset:
        samples = self.source.samples("test")
        kept_back = self.source.server is not None and all(s.label is None for s in samples)
        return self._set(self._enough(samples if kept_back else _labeled(samples, split="test")))

    def _set(
        self, samples: list[Sample], *, transform: A.Compose | None = None
    ) -> SegmentationDataset:
        return SegmentationDataset(
            samples,
            train_ids=self.source.train_ids(),
            transform=transform,
            cache=None if self.cache is None else Cache(self.cache),
        )

    def _predict_set(self) -> PictureDataset:
        if self.pictures is not None:
            return PictureDataset(self._enough(find_pictures(self.pictures)))
        try:
            samples = self.source.samples("test")
        except UserError as error:
            hint = "without data.pictures prediction runs over the test split"
            raise UserError(f"{hint}: {error}") from error
        return PictureDataset(self._enough(samples))

    def _enough(self, samples: list[Sample]) -> list[Sample]:
        # Lightning stops at a process without a batch too, but does not say what to change
        _, world = self._process()
        if len(samples) < world:
            raise UserError(
                f"{len(samples)} images for {world} processes; set trainer.devices to"
                f" {len(samples)} or less"
            )
        return samples

    def _process(self) -> tuple[int, int]:
        """Rank of this process and number of processes."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _eval_loader(
        self, dataset: SegmentationDataset | PictureDataset, *, batch_size: int
    ) -> DataLoader[dict[str, Any]]:
        rank, world = self._process()
        sampler = EvaluationSampler(dataset, rank=rank, world=world)
        return self._loader(dataset, sampler, batch_size=batch_size, drop_last=False)

    def _loader(
        self,
        dataset: SegmentationDataset | PictureDataset,
        sampler: TrainingSampler | EvaluationSampler,
        *,
        batch_size: int,
        drop_last: bool,
    ) -> DataLoader[dict[str, Any]]:
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=self.workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            drop_last=drop_last,
            worker_init_fn=_one_thread,
            persistent_workers=self.workers > 0,
            # else each start of workers would draw from the global generator, and what the network
            # draws would depend on them
            generator=torch.Generator(),
        )


def _labeled(samples: list[Sample], *, split: Split) -> list[Sample]:
    for sample in samples:
        if sample.label is None:
            raise UserError(
                f"{sample.image} has no label, but the {split} split is to be learned or scored;"
                " add its label, or run predict, which needs none"
            )
    return samples


def _one_thread(worker: int) -> None:
    # the workers are the parallelism; OpenCV's own threads would compete for the same cores
    cv2.setNumThreads(0)
