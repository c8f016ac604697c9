"""W&B, which no run depends on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from pspnet.errors import warn

MIOU = "val/miou"


class OptionalWandbLogger(WandbLogger):
    """Lightning's W&B logger, which leaves out in one line what W&B or the system refuses.

    A folder that cannot be written, as that for tables in a home that is read-only, costs what
    would be in it. Without W&B's own process, the rest is left out.
    """

    _lost = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._wandb_init.pop("anonymous")  # W&B warns of it, even of None

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log metrics; the run's summary keeps the best val/miou in place of the last."""
        what = next(iter(metrics)) if len(metrics) == 1 else "the scores"  # a table comes alone
        self._try(what, self._log, metrics, step)

    def _log(self, metrics: Mapping[str, Any], step: int | None) -> None:
        # define_metric(…, summary="max") would nest the number, which sweeps do not find by name
        summary = self.experiment.summary if MIOU in metrics else {}
        best = summary.get(MIOU)
        super().log_metrics(metrics, step)
        if best is not None and best > metrics[MIOU]:
            summary[MIOU] = best

    def log_hyperparams(self, *args: Any, **options: Any) -> None:
        self._try("the configuration", super().log_hyperparams, *args, **options)

    def log_image(self, key: str, *args: Any, **options: Any) -> None:
        self._try(key, super().log_image, key, *args, **options)

    def log_table(self, key: str, *args: Any, **options: Any) -> None:
        self._try(key, super().log_table, key, *args, **options)

    def log_checkpoint(self, path: str, *, name: str) -> None:
        """Log a checkpoint as a version of the artifact NAME of type model, under its own name."""
        self._try("the checkpoint", self._log_checkpoint, path, name)

    def _log_checkpoint(self, path: str, name: str) -> None:
        allowed = re.sub(r"[^\w.-]+", "-", name)  # W&B refuses other characters
        self.experiment.log_model(path, name=allowed, aliases=[Path(path).stem])

    def finalize(self, status: str) -> None:
        self._try("what it has not sent", super().finalize, status)

    def _try(self, what: str, log: Callable[..., None], *args: Any, **options: Any) -> None:
        if self._lost:
            return
        try:
            log(*args, **options)
        except (OSError, wandb.Error) as error:
            self._lost = not isinstance(error, PermissionError | FileNotFoundError)
            ended = "; W&B gets nothing more" if self._lost else ""
            warn(f"W&B lacks {what}: {error}{ended}")
