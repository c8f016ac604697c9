"""Predictions on disk, image by image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from torch import Tensor

from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.base import Sample
from pspnet.data.prediction_images import Frame
from pspnet.data.raster import Raster, is_raster
from pspnet.errors import NotWritten, UserError, warn
from pspnet.files.paths import is_file, local_path
from pspnet.files.text import counted
from pspnet.files.writing import make_folder
from pspnet.prediction.folder import DEFAULT, PredictionFolder, file_digest
from pspnet.prediction.forms import FORMS, FormName, Options
from pspnet.prediction.overlay_video import write_overlay_video
from pspnet.prediction.prediction import Prediction
from pspnet.prediction.raster_files import RASTER_FORMS, RasterFiles, raster_blocks
from pspnet.prediction.raster_polygons import write_polygons
from pspnet.task import Segmentation


class PredictionWriter(BasePredictionWriter):
    """Writes each prediction as class ids, as colors, over its image, or in other forms.

    Predictions that are in the folder already, of the same checkpoint, image and options, are kept.
    TIFF files that are large or lie somewhere on the ground are read and written by windows, see
    `data.raster`.

    Args:
        folder: the folder to write to; None is `predictions` in the run's folder.
        overwrite: replace files that exist.
        alpha: weight of the colors over the image, 0 to 1.
        forms: the files to write: index, color, overlay, confidence, probabilities, geojson, coco
            or labelme, see `prediction.forms`; one of them, or a list.
        tolerance: pixels by which the border of a polygon may differ.

    Raises:
        UserError: if a value is out of range, or `folder` is no path.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        overwrite: bool = False,
        alpha: float = 0.5,
        forms: tuple[str, ...] | str = DEFAULT,
        tolerance: float = 1.0,
    ) -> None:
        super().__init__(write_interval="batch")
        try:
            self.options = Options(alpha, tolerance)
        except UserError as error:
            raise UserError(f"output.{error}") from None
        self.folder = None if folder is None else local_path(folder, option="output.folder")
        given = (forms,) if isinstance(forms, str) else forms
        if not given or not {*given} <= {*FORMS}:
            raise UserError(f"output.forms={[*given]}: give one or more of {', '.join(FORMS)}")
        self.overwrite = overwrite
        self.forms = cast(tuple[FormName, ...], tuple(dict.fromkeys(given)))
        self.checkpoint: Path | None = None  # without it no prediction is known by its origin
        self.written = 0
        self._last_digest: tuple[Path | None, str] = None, ""

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
        samples = data.predict_set.samples
        self.writer = PredictionFolder(
            folder, forms=self.forms, options=self.options, overwrite=self.overwrite
        )
        self.names = [sample.name for sample in samples]
        self._settings = self._describe(trainer, pl_module)
        self._samples = {sample.name: sample for sample in samples}
        self.there = self.writer.check(self.names, self._origin, rasters=self._rasters(samples))
        for file in self.writer.files("a").values():
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

    def _rasters(self, samples: Sequence[Sample]) -> set[str]:
        """Return the names of the images that are read by windows, whose forms must be tiles."""
        rasters = {sample.name for sample in samples if is_raster(sample.image)}
        others = [form for form in self.forms if form not in RASTER_FORMS]
        if rasters and others:
            first = self._samples[min(rasters)].image
            raise UserError(
                f"output.forms={others}: {first} is read by windows, and written as "
                f"{', '.join(RASTER_FORMS)} alone; leave out the others"
            )
        if rasters and "geojson" in self.forms and "index" not in self.forms:
            raise UserError(f"output.forms={[*self.forms]}: geojson of a TIFF needs index; add it")
        return rasters

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: tuple[Tensor, Tensor],
        batch_indices: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        assert isinstance(pl_module, Segmentation)
        name = batch["name"][0]  # batches are of one image
        reason = batch["unreadable"][0]
        with trainer.precision_plugin.predict_step_context():
            if not reason and batch["raster"][0]:
                reason = self._write_raster(trainer, pl_module, name)
            elif not reason:
                self._write_image(trainer, pl_module, name, batch["image"], prediction)
        if reason:
            warn(f"{reason}; continued without it")
            self.unreadable.append(reason)
        else:
            self.written += name not in self._again

    def _write_image(
        self,
        trainer: Trainer,
        module: Segmentation,
        name: str,
        image: Tensor,
        found: tuple[Tensor, Tensor],
    ) -> None:
        label, confidence = (part[0].cpu().numpy() for part in found)
        prediction = Prediction(
            label,
            confidence,
            denormalize(image[0], data_of(trainer)),
            module.classes,
            name=name,
            file=self._samples[name].image.name,
            _compute=lambda: module.probabilities(image)[0].float().cpu().numpy(),
        )
        self.writer.write(prediction, origin=self._origin(name))

    def _write_raster(self, trainer: Trainer, module: Segmentation, name: str) -> str:
        """Predict on an image by windows, and write it; return why it cannot be read, or ""."""
        data = data_of(trainer)

        def normalized(pixels: np.ndarray) -> Tensor:
            image = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2).to(module.device)
            found: Tensor = data.on_after_batch_transfer({"image": image}, 0)["image"]
            return found

        files = self.writer.files(name, raster=True)
        for file in files.values():
            make_folder(file.parent)
        try:
            with (
                Raster(self._samples[name].image, data.channels) as raster,
                RasterFiles(
                    raster,
                    files,
                    palette=module.classes.palette(),
                    options=self.options,
                    origin=self._origin(name),
                ) as written,
                _progress(raster, name, shown=trainer.progress_bar_callback is not None) as bar,
            ):
                for block in raster_blocks(
                    module.inference_network,
                    raster,
                    module.protocol,
                    normalized=normalized,
                    temperature=module.temperature,
                ):
                    written.write(block)
                    bar.update(block.label.size)
            if "geojson" in files:
                write_polygons(
                    files["index"],
                    files["geojson"],
                    module.classes,
                    tolerance=self.options.tolerance,
                    origin=self._origin(name),
                )
        except NotWritten:
            raise
        except UserError as error:
            return str(error)
        return ""

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End in an error if images could not be read.

        Raises:
            UserError: with their number and the first.
        """
        trainer.strategy.barrier()  # after the last file of every process
        if trainer.is_global_zero and "overlay" in self.forms:
            self._write_videos()
        counts = torch.tensor([self.written, len(self.unreadable)], device=pl_module.device)
        self.written, unreadable = trainer.strategy.reduce(counts, reduce_op="sum").tolist()
        if unreadable:
            first = f", first: {self.unreadable[0]}" if self.unreadable else "; see the warnings"
            raise UserError(f"{self.said()}; {unreadable} of {len(self.names)} left out{first}")

    def said(self) -> str:
        """Return how many predictions were written, where, and how many were there before."""
        there = f", {len(self.there)} of {len(self.names)} were there" if self.there else ""
        return f"{counted(self.written, 'prediction')} written to {self.writer.out_dir}{there}"

    def _describe(self, trainer: Trainer, module: Segmentation) -> str | None:
        """Return all that predictions follow from but the image, None without a checkpoint."""
        if self.checkpoint is None:
            return None
        data, protocol = data_of(trainer), asdict(module.protocol)
        look = (self.options, module.classes.colors, module.temperature)
        digest = file_digest(self.checkpoint)
        return repr((digest, protocol, trainer.precision, data.mean, data.std, data.channels, look))

    def _origin(self, name: str) -> str | None:
        """Return a digest of all that the prediction on an image follows from."""
        sample = self._samples[name]
        if self._settings is None or not is_file(sample.image):
            return None
        try:
            image = self._digest(sample.image)
        except OSError:  # as will be said where it is read
            return None
        frame = sample.frame if isinstance(sample, Frame) else ""
        return hashlib.sha256(f"{self._settings} {image}{frame}".encode()).hexdigest()

    def _digest(self, path: Path) -> str:
        if self._last_digest[0] != path:  # all frames of a video are of one file
            self._last_digest = path, file_digest(path)
        return self._last_digest[1]

    def _write_videos(self) -> None:
        """Write the overlays of each video as a video, if all of its frames are there."""
        videos: dict[Path, list[str]] = {}
        for name, sample in self._samples.items():
            if isinstance(sample, Frame):
                videos.setdefault(sample.image, []).append(name)
        for video, names in videos.items():
            frames = [self.writer.files(name)["overlay"] for name in names]
            out = frames[0].parent.with_name(f"{frames[0].parent.name}.mp4")
            new = not out.exists() or not {*self.there}.issuperset(names)
            if new and all(frame.exists() for frame in frames):
                write_overlay_video(frames, video, out)


def _progress(raster: Raster, name: str, *, shown: bool) -> Tqdm:
    height, width = raster.size
    return Tqdm(
        total=height * width, desc=name, unit="px", unit_scale=True, leave=False, disable=not shown
    )


def denormalize(image: Tensor, data: SegmentationData) -> np.ndarray:
    """Return a normalized image (C, H, W) as it is shown, RGB (H, W, 3) uint8."""
    pixels = image.float().permute(1, 2, 0).cpu().numpy() * np.asarray(data.std, np.float32)
    pixels += np.asarray(data.mean, np.float32)
    pixels *= 255  # in place, as images may be large
    np.rint(pixels, out=pixels).clip(0, 255, out=pixels)
    return data.channels.picture(pixels.astype(np.uint8))


def data_of(trainer: Trainer) -> SegmentationData:
    """Return the data module of a run."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(data, SegmentationData)
    return data


def to_uint8(labels: Tensor) -> np.ndarray:
    """Return class ids as an array that image files can hold."""
    return labels.cpu().numpy().astype(np.uint8)
