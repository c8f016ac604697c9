"""What a run leaves in its folder: configuration, results, pictures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from pspnet.callbacks.writers import data_of, ids, to_picture
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


class Randomness(Callback):
    """Keeps torch's generators in checkpoints: a run that goes on draws what it would have."""

    def __init__(self) -> None:
        self._states: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._states = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._states:
            torch.set_rng_state(self._states["cpu"])
            if len(self._states["cuda"]) == torch.cuda.device_count():
                torch.cuda.set_rng_state_all(self._states["cuda"])


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
        if not data_of(trainer).submits:
            self._keep(trainer, outputs, batch, batch_idx, batches=trainer.num_test_batches[0])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._write(trainer, pl_module, split="val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not data_of(trainer).submits:
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
            picture = to_picture(batch["image"][0], data_of(trainer))
            self._rows.append((picture, ids(batch["label"][0]), ids(outputs[0])))

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
        from pspnet.callbacks.figures.confusion_matrix import confusion
        from pspnet.callbacks.figures.iou_bars import iou_bars
        from pspnet.callbacks.figures.prediction_grid import prediction_grid

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


def draw_curves(trainer: Trainer) -> None:
    """Draws curves.png from the run's metrics.csv, if it has logged anything."""
    from pspnet.callbacks.figures.curves import curves

    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            logger.save()
            log = Path(logger.log_dir) / "metrics.csv"
            if log.is_file():
                curves(log, log.with_name("curves.png"))
                _log_pictures(trainer, [log.with_name("curves.png")], split="train")


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
