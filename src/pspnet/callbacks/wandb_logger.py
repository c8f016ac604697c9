"""W&B, which no run depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import wandb
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger

from pspnet.errors import warn


class OptionalWandbLogger(WandbLogger):
    """Lightning's W&B logger, which leaves out in one line what W&B or the system refuses.

    A folder that cannot be written, as that for tables in a home that is read-only, costs what
    would be in it. Without W&B's own process, the rest is left out.
    """

    _lost = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run of W&B, whose summary holds the best val/miou and not the last."""
        started = self._experiment is not None
        run = super().experiment
        if not started:
            run.define_metric("val/miou", step_metric="trainer/global_step", summary="max")
        return run

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        what = next(iter(metrics)) if len(metrics) == 1 else "the scores"  # a table comes alone
        self._try(what, super().log_metrics, metrics, step)

    def log_hyperparams(self, *args: Any, **options: Any) -> None:
        self._try("the configuration", super().log_hyperparams, *args, **options)

    def log_image(self, key: str, *args: Any, **options: Any) -> None:
        self._try(key, super().log_image, key, *args, **options)

    def log_table(self, key: str, *args: Any, **options: Any) -> None:
        self._try(key, super().log_table, key, *args, **options)

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
