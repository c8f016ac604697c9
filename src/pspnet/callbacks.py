"""What a run leaves in its folder: configuration, results, pictures, predictions."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from pspnet.data.module import SegmentationData
from pspnet.predictions import Writer
from pspnet.submissions import Submission
from pspnet.task import Segmentation


class SaveConfig(SaveConfigCallback):
    """Saves the resolved configuration beside the results, in W&B, and in every checkpoint."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_hyperparams(self.plain())

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["config"] = self.plain()

    def plain(self) -> dict[str, Any]:
        """The configuration as plain data."""
        config: dict[str, Any] = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
        return config


class Report(Callback):
    """Draws and writes down what an evaluation found, and the curves of a training.

    After `validate` and `test`: results.json, iou_per_class.png, confusion.png and predictions.png;
    after `fit`: curves.png; all in the run's folder and, where there is one, in W&B. A test split
    without labels leaves nothing to report.

    Args:
        examples: number of images in predictions.png, spread evenly over the split.
    """

    def __init__(self, examples: int = 6) -> None:
        self.examples = examples
        self._rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._rows.clear()

    on_test_epoch_start = on_validation_epoch_start

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:  # not within a training
            self._keep(trainer, outputs, batch, batch_idx, batches=trainer.num_val_batches[0])

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not _data(trainer).submits:
            self._keep(trainer, outputs, batch, batch_idx, batches=trainer.num_test_batches[0])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._write(trainer, pl_module, split="val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not _data(trainer).submits:
            self._write(trainer, pl_module, split="test")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and trainer.is_global_zero:
            draw_curves(trainer)

    def _keep(
        self,
        trainer: Trainer,
        outputs: Tensor,
        batch: dict[str, Any],
        index: int,
        *,
        batches: float,
    ) -> None:
        chosen = np.linspace(0, batches - 1, min(self.examples, int(batches))).astype(int)
        if trainer.is_global_zero and index in chosen:
            picture = to_picture(batch["image"][0], _data(trainer))
            self._rows.append((picture, _ids(batch["label"][0]), _ids(outputs[0])))

    def _write(self, trainer: Trainer, module: LightningModule, *, split: str) -> None:
        log_dir = trainer.log_dir  # asks the first process, so all must ask
        if not trainer.is_global_zero or log_dir is None or not trainer.loggers:
            return
        assert isinstance(module, Segmentation)
        folder, classes, scores = Path(log_dir), module.classes, module.scores()
        folder.mkdir(parents=True, exist_ok=True)
        protocol = module.protocol.name
        origin = {"split": split, "protocol": protocol, "checkpoint": trainer.ckpt_path}
        results = json.dumps({**origin, **scores, "inference": asdict(module.protocol)}, indent=2)
        (folder / "results.json").write_text(results + "\n", "utf-8")
        from pspnet.plots import confusion, iou_bars, prediction_grid

        pictures = [
            folder / f"{name}.png" for name in ("iou_per_class", "confusion", "predictions")
        ]
        rule = scores["absent"]
        iou = {k: 0.0 if v is None and rule == "zero" else v for k, v in scores["iou"].items()}
        title = f"IoU on {split} (protocol {protocol}, absent classes: {rule})"
        iou_bars(iou, pictures[0], colors=classes.colors, title=title, groups=classes.groups)
        confusion(module.matrix.numpy(), classes.names, pictures[1])
        if self._rows:
            prediction_grid(self._rows, pictures[2], palette=classes.palette(), names=classes.names)
        _log_pictures(trainer, [path for path in pictures if path.is_file()], split=split)
        _log_table(trainer, module, split=split)


class PredictionWriter(BasePredictionWriter):
    """Writes each prediction as label values, as colours, and over its image.

    Args:
        folder: where to; None is `predictions` in the run's folder.
        overwrite: whether files that exist are replaced.
        alpha: weight of the colours over the image, 0 to 1.
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
        pictures = _data(trainer).pictures
        if pictures is not None and folder.resolve().is_relative_to(pictures.resolve()):
            raise ValueError(
                f"output.folder={folder} lies in data.pictures={pictures}, and would be predicted "
                "on next time; name another folder"
            )
        self.writer = Writer(folder, palette=palette, overwrite=self.overwrite, alpha=self.alpha)
        self.names = [sample.name for sample in _data(trainer).predict_set.samples]
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
            self.writer.write(name, _ids(label), to_picture(image, _data(trainer)))


class SubmissionWriter(Callback):
    """Writes predictions on a test split without labels as the benchmark's server takes them.

    `submission/` in the run's folder and, once every image has its prediction, one archive of it,
    whose path is `archive` on the first process. With labels it does nothing.
    """

    def __init__(self) -> None:
        self.archive: Path | None = None
        self._submission: Submission | None = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = _data(trainer)
        if not data.submits:
            return
        folder = Path(trainer.log_dir or ".")
        samples = data.test_set.samples
        self._submission = Submission(folder, source=data.source, samples=samples)
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
                self._submission.write(name, _ids(label))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._submission is not None:
            trainer.strategy.barrier()  # after the last file of every process
            if trainer.is_global_zero:
                self.archive = self._submission.pack()


def to_picture(image: Tensor, data: SegmentationData) -> np.ndarray:
    """A normalised image (3, H, W) as RGB (H, W, 3) uint8."""
    pixels = image.float().permute(1, 2, 0).cpu().numpy() * data.std + data.mean
    return np.rint(255 * pixels).clip(0, 255).astype(np.uint8)


def draw_curves(trainer: Trainer) -> None:
    """Draws curves.png from the run's metrics.csv, if it has logged anything."""
    from pspnet.plots import curves

    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            logger.save()
            log = Path(logger.log_dir) / "metrics.csv"
            if log.is_file():
                curves(log, log.with_name("curves.png"))
                _log_pictures(trainer, [log.with_name("curves.png")], split="train")


def _data(trainer: Trainer) -> SegmentationData:
    data = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(data, SegmentationData)
    return data


def _ids(labels: Tensor) -> np.ndarray:
    return labels.cpu().numpy().astype(np.uint8)


def _log_pictures(trainer: Trainer, pictures: list[Path], *, split: str) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            for picture in pictures:
                logger.log_image(f"{split}/{picture.stem}", [str(picture)])


def _log_table(trainer: Trainer, module: Segmentation, *, split: str) -> None:
    scores = module.scores()
    rows = [[name, iou, scores["accuracy"][name]] for name, iou in scores["iou"].items()]
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table(f"{split}/classes", columns=["class", "IoU", "accuracy"], data=rows)
