"""Validation images with the masks of target and prediction, in W&B, during a training."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.trainer.states import TrainerFn

from pspnet.callbacks.prediction_writers import data_of, denormalize, to_uint8
from pspnet.data.datasets.classes import IGNORE
from pspnet.task import Segmentation

LONGEST = 512  # pixels of the longer side


class WandbImages(Callback):
    """Logs the same images after each validation of a training as `val/examples`.

    W&B draws the masks over the image, with the classes' names, and steps through a training. It
    shows images of one size alone, so that smaller ones get a border, which counts as ignored.

    Args:
        images: number of images, spread evenly over the split.
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self._shown: list[tuple[str, np.ndarray, dict[str, np.ndarray]]] = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._shown = []  # one that was interrupted has left some

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        training = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if not training or not trainer.is_global_zero:
            return
        batches = int(trainer.num_val_batches[0])
        chosen = np.linspace(0, batches - 1, min(self.images, batches)).astype(int)
        if batch_idx in chosen:
            image = denormalize(batch["image"][0], data_of(trainer))
            masks = {"target": to_uint8(batch["label"][0]), "prediction": to_uint8(outputs[0])}
            small = {name: _reduced(mask, cv2.INTER_NEAREST) for name, mask in masks.items()}
            name = batch["name"][0] if "name" in batch else str(batch_idx)
            self._shown.append((name, _reduced(image, cv2.INTER_AREA), small))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        shown, self._shown = self._shown, []
        if not shown:
            return
        assert isinstance(pl_module, Segmentation)
        size = tuple(np.max([image.shape[:2] for _, image, _ in shown], axis=0))
        names = {**dict(enumerate(pl_module.classes.names)), IGNORE: "ignored"}
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image(
                    "val/examples",
                    [_bordered(image, size, 0) for _, image, _ in shown],
                    step=trainer.global_step,
                    caption=[name for name, _, _ in shown],
                    masks=[
                        {
                            key: {"mask_data": _bordered(it, size, IGNORE), "class_labels": names}
                            for key, it in masks.items()
                        }
                        for _, _, masks in shown
                    ],
                )


def _reduced(picture: np.ndarray, interpolation: int) -> np.ndarray:
    """Return a picture of at most 512 pixels on its longer side."""
    height, width = picture.shape[:2]
    factor = LONGEST / max(height, width)
    if factor >= 1:
        return picture
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(picture, size, interpolation=interpolation))


def _bordered(picture: np.ndarray, size: tuple[int, ...], value: int) -> np.ndarray:
    """Return a picture enlarged to a size, (H, W), by a border below and at the right."""
    borders = [
        (0, size[axis] - picture.shape[axis] if axis < 2 else 0) for axis in range(picture.ndim)
    ]
    return np.pad(picture, borders, constant_values=value)
