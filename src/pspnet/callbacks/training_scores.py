"""The mIoU of each epoch's training crops, and a note on classes that never occur."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from pspnet.errors import note
from pspnet.evaluation.metrics import mean_iou
from pspnet.task import Segmentation


class TrainingScores(Callback):
    """Logs `train/miou` at the end of each epoch, and notes classes without a counted pixel.

    It is the mIoU of the augmented crops as the network saw them in training, while it changed, on
    a grid of pixels (see `evaluation.crop_counts`); `val/miou` is of entire images under the
    protocol. The counts are those of all processes and part of checkpoints, so that an epoch that
    is continued has the score of a whole one.
    """

    def __init__(self) -> None:
        self._noted: set[str] = set()
        self.matrix = torch.zeros(0, 0, dtype=torch.int64)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, Segmentation)
        if stage == "fit":  # the best checkpoint's evaluation reports the training's last epoch
            self._reset(len(pl_module.classes))

    def state_dict(self) -> dict[str, Tensor]:
        return {"matrix": self.matrix.cpu()}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        self.matrix = state_dict["matrix"]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reset(len(self.matrix))

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, Segmentation)
        if pl_module.crop_counts is None:  # a training step of somebody's own
            return
        # here and not at the end of the epoch, as the first process saves them without the others
        counts = trainer.strategy.reduce(pl_module.crop_counts, reduce_op="sum")
        self.matrix = self.matrix.to(counts.device) + counts

    def miou(self, module: Segmentation) -> Tensor | None:
        """Return the mIoU of the epoch's crops so far, 0-dim; None before the first."""
        return mean_iou(self.matrix, module.absent) if self.matrix.any() else None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Segmentation)
        miou = self.miou(pl_module)
        if miou is None:
            return
        # the same on every process: there is nothing to synchronize
        pl_module.log("train/miou", miou.float(), prog_bar=True, sync_dist=False)
        where = "the grid of an epoch's training crops that train/miou counts"
        self._note(pl_module.classes.names, self.matrix.sum(1), where)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Segmentation)
        if not trainer.sanity_checking:
            self._note(pl_module.classes.names, pl_module.matrix.sum(1), "the val split")

    def _reset(self, classes: int) -> None:
        self.matrix = torch.zeros(classes, classes, dtype=torch.int64)

    @rank_zero_only
    def _note(self, names: Sequence[str], pixels: Tensor, where: str) -> None:
        """Name the classes without a pixel, once for each place."""
        absent = [name for name, count in zip(names, pixels.tolist(), strict=True) if not count]
        if absent and where not in self._noted:
            count = f"{len(absent)} classes have" if len(absent) > 1 else "1 class has"
            note(f"{count} no pixel in {where}: {', '.join(absent)}")
        self._noted.add(where)
