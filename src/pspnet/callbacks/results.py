"""The report of an evaluation: results.json and figures in the run's folder and in W&B."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BatchSizeFinder
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from pspnet.callbacks.figures.confusion_matrix import TITLE, draw_confusion_matrix
from pspnet.callbacks.figures.curves import draw_curves
from pspnet.callbacks.figures.iou_bars import draw_iou_bars
from pspnet.callbacks.figures.prediction_grid import draw_prediction_grid
from pspnet.callbacks.figures.reliability import draw_reliability
from pspnet.callbacks.metrics_file import MetricsLogger
from pspnet.callbacks.prediction_writers import data_of, denormalize, to_uint8
from pspnet.callbacks.results_file import as_text, plain_colors, plain_matrix
from pspnet.callbacks.training_scores import TrainingScores
from pspnet.files.paths import run_name
from pspnet.files.writing import make_folder, optional, write_atomic
from pspnet.task import Segmentation


class Report(Callback):
    """Writes and draws the results of evaluations, and the curves of a training.

    After `validate` and `test`: results.json, iou_per_class.png, confusion.png and predictions.png,
    and reliability.png where `validate` calibrates; after `fit`: curves.png; all in the run's
    folder and in W&B if it is used. A test split without labels has no report.

    Args:
        examples: number of images in predictions.png, spread evenly over the split.
    """

    def __init__(self, examples: int = 6) -> None:
        self.examples = examples
        self._rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":  # it would search again, and evaluate a file of its own
            own = [one for one in trainer.callbacks if not isinstance(one, BatchSizeFinder)]  # type: ignore[attr-defined]
            trainer.callbacks = own  # type: ignore[attr-defined]

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
        if not data_of(trainer).submits:
            self._keep(trainer, outputs, batch, batch_idx, batches=trainer.num_test_batches[0])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._report(trainer, pl_module, split="val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not data_of(trainer).submits:
            self._report(trainer, pl_module, split="test")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not trainer.is_global_zero:
            return
        if stage == "fit":
            _report_curves(trainer)
        if stage != "fit" or not trainer.checkpoint_callbacks:  # otherwise the best is evaluated
            _check_metrics(trainer)

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
            image = denormalize(batch["image"][0], data_of(trainer))
            self._rows.append((image, to_uint8(batch["label"][0]), to_uint8(outputs[0])))

    def _report(self, trainer: Trainer, module: LightningModule, *, split: str) -> None:
        log_dir = trainer.log_dir  # broadcast from the first process, so all must ask
        if not trainer.is_global_zero or log_dir is None or not trainer.loggers:
            return
        assert isinstance(module, Segmentation)
        folder = make_folder(Path(log_dir))
        results = describe(trainer, module, split=split)
        write_atomic(folder / "results.json", as_text(results).encode())
        _log_images(trainer, self._draw(module, results, folder), split=split)
        _log_table(trainer, results, split=split)

    def _draw(self, module: Segmentation, results: dict[str, Any], folder: Path) -> list[Path]:
        classes, rule = module.classes, results["absent"]
        iou = {k: 0.0 if v is None and rule == "zero" else v for k, v in results["iou"].items()}
        counts, names, rows = module.matrix.numpy(), classes.names, self._rows
        look: dict[str, Any] = {"colors": classes.colors, "groups": classes.groups}
        run, split = run_name(folder), results["split"]
        drawings: dict[str, Callable[[Path], None]] = {
            "iou_per_class": lambda out: draw_iou_bars(
                iou, out, title=f"{run}: {title(results)}", **look
            ),
            "confusion": lambda out: draw_confusion_matrix(
                counts, names, out, title=f"{run} on {split}: {TITLE}"
            ),
        }
        if rows:
            drawings["predictions"] = lambda out: draw_prediction_grid(
                rows, out, palette=classes.palette(), names=names, title=f"{run} on {split}"
            )
        if (calibrated := module.calibrated) is not None:
            drawings["reliability"] = lambda out: draw_reliability(calibrated, out)
        return [file for name, draw in drawings.items() if (file := _drawn(draw, folder, name))]


def _drawn(draw: Callable[[Path], None], folder: Path, name: str) -> Path | None:
    """Draw NAME.png and return it; warn and return None if it cannot be written."""
    with optional(f"{name}.png"):
        draw(folder / f"{name}.png")
        return folder / f"{name}.png"
    return None


def describe(trainer: Trainer, module: Segmentation, *, split: str) -> dict[str, Any]:
    """Return the content of results.json: the conditions of an evaluation and its scores."""
    names, calibrated, by_image = module.classes.names, module.calibrated, module.by_image
    training = [c for c in trainer.callbacks if isinstance(c, TrainingScores)]  # type: ignore[attr-defined]
    trained = training[0].miou(module) if training else None
    return {
        "split": split,
        "protocol": module.protocol.name,
        "precision": trainer.precision,
        "checkpoint": trainer.ckpt_path,
        **module.scores(),
        **({} if trained is None else {"train_miou": float(trained)}),
        **({"weighted": True} if module.matrix.is_floating_point() else {}),
        **_shard(trainer, module),
        **({} if by_image is None else by_image.describe(names, absent=module.absent)),
        **({} if calibrated is None else {"calibration": calibrated.describe(names)}),
        "inference": asdict(module.protocol),
        "colors": plain_colors(names, module.classes.colors),
        "members": {group: list(part) for group, part in module.classes.groups.items()},
        "confusion": plain_matrix(module.matrix.numpy()),
    }


def _shard(trainer: Trainer, module: Segmentation) -> dict[str, Any]:
    """Return the part of the images that was evaluated, with what merging the parts needs."""
    shard = getattr(trainer.datamodule, "shard", None)  # type: ignore[attr-defined]
    if shard is None:
        return {}
    categories = {name: list(part) for name, part in module.classes.categories.items()}
    return {"shard": {"part": str(shard), "categories": categories}}


def title(results: dict[str, Any]) -> str:
    """Return the conditions of an evaluation in one line."""
    protocol, precision = results["protocol"], results["precision"]
    return (
        f"IoU on {results['split']} "
        f"(protocol {protocol}, {precision}, absent classes: {results['absent']})"
    )


def _report_curves(trainer: Trainer) -> None:
    """Draw curves.png from the run's metrics.csv, if it has logged anything."""
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            logger.save()
            log = Path(logger.log_dir) / "metrics.csv"
            if log.is_file() and (
                file := _drawn(
                    partial(draw_curves, log, title=run_name(log.parent)), log.parent, "curves"
                )
            ):
                _log_images(trainer, [file], split="train")


def _check_metrics(trainer: Trainer) -> None:
    """Refuse to end as if all were well when metrics.csv lacks rows."""
    for logger in trainer.loggers:
        if isinstance(logger, MetricsLogger):
            logger.check()


def _log_images(trainer: Trainer, files: list[Path], *, split: str) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            for file in files:
                logger.log_image(f"{split}/{file.stem}", [str(file)])


def _log_table(trainer: Trainer, results: dict[str, Any], *, split: str) -> None:
    rows = [[name, iou, results["accuracy"][name]] for name, iou in results["iou"].items()]
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table(f"{split}/classes", columns=["class", "IoU", "accuracy"], data=rows)
