"""The callback that collects and writes where an evaluation fails."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from pspnet.callbacks.failures.page import page
from pspnet.callbacks.failures.pictures import Shelf, Thumbnail, shown
from pspnet.callbacks.failures.table import table
from pspnet.callbacks.prediction_writers import data_of, denormalize, to_uint8
from pspnet.callbacks.results import describe, title
from pspnet.evaluation.image_scores import ImageScores, gathered
from pspnet.files.writing import make_folder, optional, write_atomic
from pspnet.task import Segmentation


class Failures(Callback):
    """Writes images.csv and failures.html after `validate` and `test`, and the evaluation of `fit`.

    The table has all images, and the page those that are worst, by IoU, by class and by the quality
    of their labels. A test split without labels has neither.
    """

    def __init__(self) -> None:
        self._shelf = Shelf()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start(pl_module, collects=trainer.state.fn == TrainerFn.VALIDATING)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start(pl_module, collects=not data_of(trainer).submits)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert isinstance(pl_module, Segmentation)
        if pl_module.image_scores is None or "name" not in batch:
            return
        for index, row in enumerate(pl_module.image_scores.rows[-len(batch["name"]) :]):
            self._shelf.offer(row, partial(_thumbnail, trainer, batch, outputs, index))

    on_test_batch_end = on_validation_batch_end

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, pl_module, split="val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, pl_module, split="test")

    def _start(self, module: LightningModule, *, collects: bool) -> None:
        assert isinstance(module, Segmentation)
        self._shelf, module.by_image = Shelf(), None
        module.image_scores = ImageScores(len(module.classes)) if collects else None

    def _write(self, trainer: Trainer, module: LightningModule, *, split: str) -> None:
        assert isinstance(module, Segmentation)
        by_image = module.by_image
        if by_image is None or not by_image.rows:  # the step of somebody's own, or while training
            return
        names = {*shown(by_image.rows)}
        palette = module.classes.palette()
        own = {
            name: it.encoded(palette)
            for name, it in self._shelf.thumbnails.items()
            if name in names
        }
        pictures = {name: it for part in gathered(own) for name, it in part.items()}
        log_dir = trainer.log_dir  # broadcast from the first process, so all must ask
        self._shelf = Shelf()
        if not trainer.is_global_zero or log_dir is None or not trainer.loggers:
            return
        folder, classes = make_folder(Path(log_dir)), module.classes
        text = table(by_image, classes.names)
        write_atomic(folder / "images.csv", text.encode("utf-8", "backslashreplace"))
        results = describe(trainer, module, split=split)
        html = page(by_image, pictures, classes=classes, conditions=title(results), results=results)
        with optional("failures.html"):
            write_atomic(folder / "failures.html", html.encode())


def _thumbnail(trainer: Trainer, batch: dict[str, Any], outputs: Tensor, index: int) -> Thumbnail:
    return Thumbnail.of(
        denormalize(batch["image"][index], data_of(trainer)),
        to_uint8(batch["label"][index]),
        to_uint8(outputs[index]),
    )
