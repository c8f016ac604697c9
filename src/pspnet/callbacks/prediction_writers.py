"""Predictions on disk: label values, colors and overlays, and submissions to benchmarks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from pspnet.data.datamodule import SegmentationData
from pspnet.data.image_io import encode
from pspnet.errors import UserError, warn
from pspnet.evaluation.submission import Submission
from pspnet.files.paths import local_path
from pspnet.files.writing import make_folder, write_atomic
from pspnet.task import Segmentation


class PredictionFolder:
    """Three files per prediction below a folder, never over a file unless asked to.

    `index/NAME.png` holds the label values; a palette in it lets viewers show colors. Pillow reads
    the values back (`np.array(Image.open(path))`), OpenCV would expand them to colors.
    `color/NAME.png` holds the colors, `overlay/NAME.jpg` the colors over the image.

    Args:
        out_dir: the folder; it is created with the first file.
        palette: RGB per label value, (256, 3) uint8.
        overwrite: replace files that exist.
        alpha: weight of the colors in the overlay, 0 (image only) to 1 (colors only).

    Raises:
        UserError: if alpha is out of range, or `out_dir` is a file.
    """

    def __init__(
        self, out_dir: Path, *, palette: np.ndarray, overwrite: bool = False, alpha: float = 0.5
    ) -> None:
        if not 0 <= alpha <= 1:
            raise UserError(f"alpha={alpha}: give a weight from 0 to 1")
        if out_dir.exists() and not out_dir.is_dir():
            raise UserError(f"{out_dir} is a file; name a folder for the predictions")
        self.out_dir, self.palette = out_dir, palette
        self.overwrite, self.alpha = overwrite, alpha

    def check(self, names: Iterable[str]) -> None:
        """Refuse names that cannot all be written, before anything is computed.

        Raises:
            UserError: for a name that would leave the folder or occurs twice, and for the first
                file that exists, unless `overwrite` is set.
        """
        seen: set[str] = set()
        for name in names:
            self._refuse_existing(self.files(name))
            if name in seen:
                raise UserError(f"name {name!r} occurs twice; each prediction needs its own")
            seen.add(name)

    def write(self, name: str, label: np.ndarray, image: np.ndarray) -> None:
        """Write the three files of one prediction, the index file last.

        Args:
            name: relative path without suffix; its folders are kept.
            label: (H, W) uint8.
            image: (H, W, 3) uint8 RGB.

        Raises:
            UserError: if the name would leave the folder, or one of the files exists, unless
                `overwrite` is set.
        """
        index, color, overlay = self.files(name)
        self._refuse_existing((index, color, overlay))
        colors = self.palette[label]  # (H, W, 3)
        _save(encode(blend(image, colors, alpha=self.alpha), "JPEG"), overlay)
        _save(encode(colors), color)
        _save(encode(label, palette=self.palette), index)

    def files(self, name: str) -> tuple[Path, Path, Path]:
        """Return the index, color and overlay file of a name.

        Raises:
            UserError: if the name is empty, absolute, or holds `..`, `.` or empty parts.
        """
        posix, windows = PurePosixPath(name), PureWindowsPath(name)
        unsafe = posix.is_absolute() or windows.anchor or ".." in (*posix.parts, *windows.parts)
        if unsafe or not posix.parts or str(posix) != name:
            raise UserError(
                f"name {name!r} is no plain relative path; predictions stay below {self.out_dir}"
            )
        return (
            self.out_dir / "index" / f"{name}.png",
            self.out_dir / "color" / f"{name}.png",
            self.out_dir / "overlay" / f"{name}.jpg",
        )

    def _refuse_existing(self, files: tuple[Path, ...]) -> None:
        for file in files:
            if not self.overwrite and os.path.lexists(file):
                raise UserError(f"{file} exists; use another folder or overwrite=true")


class PredictionWriter(BasePredictionWriter):
    """Writes each prediction as label values, as colors, and over its image.

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

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Segmentation)
        folder = self.folder or Path(trainer.log_dir or ".") / "predictions"
        images = data_of(trainer).images
        if images is not None and folder.resolve().is_relative_to(images.resolve()):
            raise UserError(
                f"output.folder={folder} lies in data.images={images}, and would be predicted on "
                "next time; name another folder"
            )
        self.writer = PredictionFolder(
            folder,
            palette=pl_module.classes.palette(),
            overwrite=self.overwrite,
            alpha=self.alpha,
        )
        self.names = [sample.name for sample in data_of(trainer).predict_set.samples]
        self.writer.check(self.names)
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
            self.writer.write(name, to_uint8(label), denormalize(image, data_of(trainer)))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End in an error if images could not be read.

        Raises:
            UserError: with their number and the first.
        """
        if self.unreadable:
            raise UserError(
                f"{len(self.unreadable)} of {len(self.names)} images have no prediction, first:"
                f" {self.unreadable[0]}"
            )


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


def blend(image: np.ndarray, colors: np.ndarray, *, alpha: float) -> np.ndarray:
    """Return alpha * colors + (1 - alpha) * image, rounded; all (H, W, 3) uint8."""
    mixed = alpha * colors.astype(np.float32) + (1 - alpha) * image.astype(np.float32)
    return np.rint(mixed).astype(np.uint8)


def denormalize(image: Tensor, data: SegmentationData) -> np.ndarray:
    """Return a normalized image (3, H, W) as RGB (H, W, 3) uint8."""
    pixels = image.float().permute(1, 2, 0).cpu().numpy() * data.std + data.mean
    return np.rint(255 * pixels).clip(0, 255).astype(np.uint8)


def data_of(trainer: Trainer) -> SegmentationData:
    """Return the data module of a run."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(data, SegmentationData)
    return data


def to_uint8(labels: Tensor) -> np.ndarray:
    """Return class ids as an array that image files can hold."""
    return labels.cpu().numpy().astype(np.uint8)


def _save(content: bytes, file: Path) -> None:
    make_folder(file.parent)
    write_atomic(file, content, durable=False)
