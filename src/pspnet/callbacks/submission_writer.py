"""Predictions on a test split without labels, in the form that a benchmark's server takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from pspnet.callbacks.prediction_writers import data_of, to_uint8
from pspnet.evaluation.submission import Submission


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
