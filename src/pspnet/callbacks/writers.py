"""Predictions on disk as they come: pictures of them, and what a benchmark's server takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from pspnet.callbacks.predictions import Writer
from pspnet.data.datamodule import SegmentationData
from pspnet.errors import UserError
from pspnet.evaluation.submission import Submission
from pspnet.task import Segmentation


class PredictionWriter(BasePredictionWriter):
    """Writes each prediction as label values, as colors, and over its image.

    Args:
        folder: where to; None is `predictions` in the run's folder.
        overwrite: whether files that exist are replaced.
        alpha: weight of the colors over the image, 0 to 1.
    """

    def __init__(
        self, folder: Path | None = None, overwrite: bool = False, alpha: float = 0.5
    ) -> None:
        super().__init__(write_interval="batch")
        self.folder, self.overwrite, self.alpha = folder, overwrite, alpha

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Segmentation)
        folder = self.folder or Path(trainer.log_dir or ".") / "predictions"
        palette = pl_module.classes.palette()
        pictures = data_of(trainer).images
        if pictures is not None and folder.resolve().is_relative_to(pictures.resolve()):
            raise UserError(
                f"output.folder={folder} lies in data.images={pictures}, and would be predicted "
                "on next time; name another folder"
            )
        self.writer = Writer(folder, palette=palette, overwrite=self.overwrite, alpha=self.alpha)
        self.names = [sample.name for sample in data_of(trainer).predict_set.samples]
        self.writer.check(self.names)
        trainer.strategy.barrier()  # before another process writes what this one would refuse

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Tensor,
        batch_indices: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        for name, image, label in zip(batch["name"], batch["image"], prediction, strict=True):
            self.writer.write(name, ids(label), to_picture(image, data_of(trainer)))


class SubmissionWriter(Callback):
    """Writes predictions on a test split without labels as the benchmark's server takes them.

    `submission/` in the run's folder and, once every image has its prediction, one archive of it,
    whose path is `archive` on the first process. With labels it does nothing.
    """

    def __init__(self) -> None:
        self.archive: Path | None = None
        self._submission: Submission | None = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data, folder = data_of(trainer), trainer.log_dir
        if not data.submits or folder is None:  # a trial of the code has no folder
            return
        samples = data.test_set.samples
        self._submission = Submission(Path(folder), source=data.source, samples=samples)
        self._submission.check()
        trainer.strategy.barrier()  # before another process writes what this one would refuse

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._submission is not None:
            for name, label in zip(batch["name"], outputs, strict=True):
                self._submission.write(name, ids(label))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._submission is not None:
            trainer.strategy.barrier()  # after the last file of every process
            if trainer.is_global_zero:
                self.archive = self._submission.pack()


def to_picture(image: Tensor, data: SegmentationData) -> np.ndarray:
    """A normalized image (3, H, W) as RGB (H, W, 3) uint8."""
    pixels = image.float().permute(1, 2, 0).cpu().numpy() * data.std + data.mean
    return np.rint(255 * pixels).clip(0, 255).astype(np.uint8)


def data_of(trainer: Trainer) -> SegmentationData:
    data = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(data, SegmentationData)
    return data


def ids(labels: Tensor) -> np.ndarray:
    return labels.cpu().numpy().astype(np.uint8)
