"""Predictions on disk: label values, colors and overlays, and submissions to benchmarks."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from pspnet.data.datamodule import SegmentationData
from pspnet.errors import UserError, warn
from pspnet.evaluation.submission import Submission
from pspnet.files.paths import is_file, local_path
from pspnet.files.writing import make_folder
from pspnet.prediction.folder import PredictionFolder, file_digest
from pspnet.task import Segmentation


class PredictionWriter(BasePredictionWriter):
    """Writes each prediction as label values, as colors, and over its image.

    Predictions that are in the folder already, of the same checkpoint, image and options, are kept.

    Args:
        folder: the folder to write to; None is `predictions` in the run's folder.
        overwrite: replace files that exist.
        alpha: weight of the colors over the image, 0 to 1.

    Raises:
        UserError: if alpha is out of range, or `folder` is no path.
    """

    def __init__(
        self, folder: str | Path | None = None, overwrite: bool = False, alpha: float = 0.5
    ) -> None:
        super().__init__(write_interval="batch")
        if not 0 <= alpha <= 1:
            raise UserError(f"output.alpha={alpha}: give a weight from 0 to 1")
        self.folder = None if folder is None else local_path(folder, option="output.folder")
        self.overwrite, self.alpha = overwrite, alpha
        self.checkpoint: Path | None = None  # without it no prediction is known by its origin
        self.written = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check all names, and leave out of the data what is there."""
        if stage != "predict":
            return
        assert isinstance(pl_module, Segmentation)
        data = data_of(trainer)
        folder = self.folder or Path(trainer.log_dir or ".") / "predictions"
        if data.images is not None and folder.resolve().is_relative_to(data.images.resolve()):
            raise UserError(
                f"output.folder={folder} lies in data.images={data.images}, and would be predicted "
                "on next time; name another folder"
            )
        palette = pl_module.classes.palette()
        self.writer = PredictionFolder(
            folder, palette=palette, overwrite=self.overwrite, alpha=self.alpha
        )
        samples = data.predict_set.samples
        self.names = [sample.name for sample in samples]
        self._settings = self._describe(trainer, pl_module)
        self._images = {sample.name: sample.image for sample in samples}
        self.there = self.writer.check(self.names, self._origin)
        for file in self.writer.files("a"):
            make_folder(file.parent)  # refused before anything is computed
        known = {*self.there}
        # a process without an image would leave the others waiting
        left = sum(name not in known for name in self.names)
        again = self.there[: max(0, trainer.world_size - left)] if left else []
        data.predict_set.samples = [
            sample for sample in samples if sample.name not in known or sample.name in again
        ]
        self._again = {*again}
        self.unreadable: list[str] = []
        trainer.strategy.barrier()  # before another process writes a file that this one refuses

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
        reasons = [reason for reason in batch["unreadable"] if reason]
        if reasons:  # batches are of one image
            warn(f"{reasons[0]}; continued without it")
            self.unreadable += reasons
            return
        for name, image, label in zip(batch["name"], batch["image"], prediction, strict=True):
            pixels = denormalize(image, data_of(trainer))
            self.writer.write(name, to_uint8(label), pixels, origin=self._origin(name))
            self.written += name not in self._again

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End in an error if images could not be read.

        Raises:
            UserError: with their number and the first.
        """
        counts = torch.tensor([self.written, len(self.unreadable)], device=pl_module.device)
        self.written, unreadable = trainer.strategy.reduce(counts, reduce_op="sum").tolist()
        if unreadable:
            first = f", first: {self.unreadable[0]}" if self.unreadable else "; see the warnings"
            raise UserError(f"{unreadable} of {len(self.names)} images have no prediction{first}")

    def _describe(self, trainer: Trainer, module: Segmentation) -> str | None:
        """Return all that predictions follow from but the image, None without a checkpoint."""
        if self.checkpoint is None:
            return None
        data, protocol = data_of(trainer), asdict(module.protocol)
        look = (self.alpha, self.writer.palette.tolist())
        digest = file_digest(self.checkpoint)
        return repr((digest, protocol, trainer.precision, data.mean, data.std, look))

    def _origin(self, name: str) -> str | None:
        """Return a digest of all that the prediction on an image follows from."""
        path = self._images[name]
        if self._settings is None or not is_file(path):
            return None
        try:
            image = file_digest(path)
        except OSError:  # as will be said where it is read
            return None
        return hashlib.sha256(f"{self._settings} {image}".encode()).hexdigest()


class SubmissionWriter(Callback):
    """Writes predictions on a test split without labels in the form of the benchmark's server.

    They go to `submission/` in the run's folder and, once every image has its prediction, into one
    archive, whose path is `archive` on the first process. With labels it does nothing.
    """

    def __init__(self) -> None:
        self.archive: Path | None = None
        self._submission: Submission | None = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data, folder = data_of(trainer), trainer.log_dir
        if not data.submits or folder is None:  # fast_dev_run has no folder
            return
        samples = data.test_set.samples
        self._submission = Submission(Path(folder), source=data.source, samples=samples)
        self._submission.check()
        trainer.strategy.barrier()  # before another process writes a file that this one refuses

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
                self._submission.write(name, to_uint8(label))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._submission is not None:
            trainer.strategy.barrier()  # after the last file of every process
            if trainer.is_global_zero:
                self.archive = self._submission.pack()


def denormalize(image: Tensor, data: SegmentationData) -> np.ndarray:
    """Return a normalized image (3, H, W) as RGB (H, W, 3) uint8."""
    pixels = image.float().permute(1, 2, 0).cpu().numpy() * np.asarray(data.std, np.float32)
    pixels += np.asarray(data.mean, np.float32)
    pixels *= 255  # in place, as images may be large
    np.rint(pixels, out=pixels).clip(0, 255, out=pixels)
    found: np.ndarray = pixels.astype(np.uint8)
    return found


def data_of(trainer: Trainer) -> SegmentationData:
    """Return the data module of a run."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(data, SegmentationData)
    return data


def to_uint8(labels: Tensor) -> np.ndarray:
    """Return class ids as an array that image files can hold."""
    return labels.cpu().numpy().astype(np.uint8)
