"""Continue a training of semseg or mmsegmentation at its step, with its optimizer's state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.optim import Optimizer

from pspnet.checkpoints.continued_settings import check_settings, rates
from pspnet.checkpoints.resumed_state import optimizer_differences
from pspnet.checkpoints.saved_task import SavedTask
from pspnet.errors import UserError, note
from pspnet.lr_schedules import PolyLR
from pspnet.models.published.load import from_weights
from pspnet.models.published.saved_optimizer import LARGEST
from pspnet.models.published.training_state import (
    TrainingState,
    read_training_state,
    weights_in_training,
)
from pspnet.models.published.weights_file import WeightsFile

SCALER = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}
AVERAGES = "the averages of its weights, which init_from takes"


class ContinuedTraining(Callback):
    """Gives a new run the weights, the optimizer's state and the step of another code's training.

    The next step has the learning rate that the run's schedule has there, and a line says whether
    it is the file's. No file holds the order and the augmentation of the images or a random state,
    and semseg's neither base rate nor length: they are the run's own. Averages of weights are left,
    and the weights that the optimizer changes are taken.

    Args:
        weights: a training checkpoint of semseg, or of mmsegmentation 0.x or 1.x.

    Raises:
        UserError: if it is none, or cannot be continued.
    """

    def __init__(self, weights: WeightsFile) -> None:
        self.path, weights = weights.path, weights_in_training(weights)
        self.published = from_weights(weights)
        names = [name for name, _ in self.published.network.named_parameters()]
        self.training: TrainingState = read_training_state(weights, names)

    def load_weights(self, task: SavedTask) -> None:
        """Load the weights into a task's network.

        Raises:
            UserError: if it has other classes or tensors.
        """
        here, there = len(task.classes), self.published.network.num_classes
        if here != there:
            raise self._error(f"has {there} classes, and the data {here}; give its own data")
        own, saved = task.network.state_dict(), self.published.network.state_dict()
        for key in own | saved:
            if key not in own or key not in saved or own[key].shape != saved[key].shape:
                raise self._error(f"{key!r} is not as in this run's network; edit it likewise")
        task.network.load_state_dict(saved)
        names, theirs = task.classes.names, self.published.class_names or ()
        for place, (name, other) in enumerate(zip(names, theirs, strict=False)):
            if name.casefold() != other.casefold():
                self._note(f"class {place} is {other!r} there and {name!r} here; compare them all")
                break
        del self.published  # its weights are no longer needed

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, SavedTask)
        scheduler = next((it.scheduler for it in trainer.lr_scheduler_configs), None)
        if not isinstance(scheduler, PolyLR):
            raise self._error("model.lr_scheduler: the step of PolyLR alone is known; give it")
        optimizer = trainer.optimizers[0]
        names = {id(p): name for name, p in pl_module.network.named_parameters()}
        check_settings(self.training, optimizer, pl_module.network, path=self.path)
        trainer.fit_loop.setup_data()
        batches = trainer.num_training_batches
        if not trainer.accumulate_grad_batches <= batches < math.inf:
            raise self._error("an epoch of this run has no length; give more images, all counted")
        epoch_steps = int(batches) // trainer.accumulate_grad_batches
        steps = self._steps(trainer, epoch_steps)
        taken = self._load_optimizer(optimizer, names)
        scheduler.load_state_dict({"last_epoch": steps, "_step_count": steps + 1})
        trainer.fit_loop.load_state_dict(
            progress(trainer.fit_loop.state_dict(), steps, epoch_steps, trainer)
        )
        place = f"epoch {steps // epoch_steps}, step {steps % epoch_steps} of {epoch_steps}"
        self._say(scheduler, names, steps=steps, place=place, taken=taken)
        self._say_left(scaled=self._load_scale(trainer))
        self.training = replace(self.training, buffers={})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning skips a validation that is due where it begins, and counts a step for it
        loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
        if fetcher is not None and loop._should_check_val_fx(fetcher):
            loop._batches_that_stepped -= 1

    def _steps(self, trainer: Trainer, epoch_steps: int) -> int:
        """Return the steps of the file's training; those of an epoch are this run's.

        Raises:
            UserError: if this run is no longer.
        """
        steps = self.training.steps
        if steps is None:
            assert self.training.epochs is not None
            steps = self.training.epochs * epoch_steps
        epochs = steps // epoch_steps
        for name, limit, done in (
            ("max_steps", trainer.max_steps, steps),
            ("max_epochs", trainer.max_epochs, epochs),
        ):
            if limit is not None and 0 <= limit <= done:
                raise self._error(f"has trained {done} of trainer.{name}={limit}; give more")
        return steps

    def _load_optimizer(self, optimizer: Optimizer, names: Mapping[int, str]) -> tuple[int, int]:
        """Load the buffers of parameters that train; return their number, and how many train."""
        state, parameters = {}, [p for group in optimizer.param_groups for p in group["params"]]
        for index, parameter in enumerate(parameters):
            entries = self.training.buffers.get(names.get(id(parameter), ""))
            if entries is not None:
                state[index] = {k: _like(value, parameter) for k, value in entries.items()}
        content = {**optimizer.state_dict(), "state": state}
        for difference in optimizer_differences(content, optimizer):
            raise self._error(f"{difference}; a damaged file; give another one")
        optimizer.load_state_dict(content)
        return len(state), len(parameters)

    def _load_scale(self, trainer: Trainer) -> bool:
        """Load the scale of the loss, if both trainings have one of torch's."""
        plugin, scale = trainer.precision_plugin, self.training.loss_scale or {}
        values = [scale.get(key) for key in SCALER]
        right = all(isinstance(it, int | float) and 0 <= it < LARGEST for it in values)
        if getattr(plugin, "scaler", None) is None or not right or scale["scale"] == 0:
            return False
        plugin.load_state_dict(dict(scale))
        return True

    def _say(
        self,
        scheduler: PolyLR,
        names: Mapping[int, str],
        *,
        steps: int,
        place: str,
        taken: tuple[int, int],
    ) -> None:
        here = " and ".join(f"{group['lr']:.6g}" for group in scheduler.optimizer.param_groups)
        self._note(
            f"a training of {self.training.origin} continues at step {steps} ({place}); the "
            f"optimizer's state of {taken[0]} of {taken[1]} parameters; learning rates {here}"
        )
        if (line := rates(self.training, scheduler, names, steps=steps)) is not None:
            self._note(line)

    def _say_left(self, *, scaled: bool) -> None:
        left = ["the order and augmentation of images", "random states"]
        left += [AVERAGES] if self.training.averages else []
        left += ["the scale of the loss"] if self.training.loss_scale and not scaled else []
        left += ["base learning rate and length"] if self.training.origin == "semseg" else []
        self._note(f"not in the file or not taken: {', '.join(left)}")

    def _note(self, line: str) -> None:
        rank_zero_only(note)(f"continue_from={self.path}: {line}")

    def _error(self, reason: str) -> UserError:
        remedy = f"or start from its weights by --init_from={self.path}"
        return UserError(f"continue_from={self.path}: {reason}, {remedy}")


def progress(
    empty: Mapping[str, Any], steps: int, epoch_steps: int, trainer: Trainer
) -> dict[str, Any]:
    """Return the state of Lightning's loops between two steps, in the epoch of the next one.

    Args:
        empty: the state before the first step.
        steps: of the optimizer that are done.
        epoch_steps: of an epoch.
        trainer: its batches per step are counted.
    """
    epochs, within = divmod(steps, epoch_steps)
    parts = trainer.accumulate_grad_batches
    loop = "epoch_loop"
    counts = {
        f"{loop}.batch_progress": (steps * parts, within * parts),
        f"{loop}.scheduler_progress": (steps, within),
        "epoch_progress": (epochs, epochs),
    }
    state = {**empty, f"{loop}.state_dict": {"_batches_that_stepped": steps}}
    for name, (total, current) in counts.items():
        state[name] = {
            **empty[name],
            "total": _all(empty[name], total),
            "current": _all(empty[name], current),
        }
    for part in ("total", "current"):  # the epoch of the next step has begun
        for count in ("ready", "started"):
            state["epoch_progress"][part][count] += 1
    name = f"{loop}.automatic_optimization.optim_progress"
    state[name] = {
        "optimizer": {
            kind: {**tracker, "total": _all(tracker, steps), "current": _all(tracker, within)}
            for kind, tracker in empty[name]["optimizer"].items()
        }
    }
    return state


def _all(tracker: Mapping[str, Any], count: int) -> dict[str, int]:
    return dict.fromkeys(tracker["total"], count)


def _like(value: Any, parameter: Tensor) -> Tensor:
    """Return a buffer in the format and precision of its parameter; a counter as torch's own."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        return torch.tensor(float(value))
    return torch.empty_like(parameter).copy_(value.detach())
