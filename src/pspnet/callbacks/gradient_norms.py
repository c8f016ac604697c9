"""Gradient norms of the auxiliary and of the main loss at the features that both train."""

from __future__ import annotations

from functools import partial
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from pspnet.task import Segmentation


class AuxiliaryGradient(Callback):
    """Log the norms of both losses' gradients at the auxiliary head's input, stage 4's features.

    `train/gradient_auxiliary` is the norm of the gradient of the weighted auxiliary loss,
    `train/gradient_main` that of the main loss, of a process's batch, at each step that is logged.
    The auxiliary head may be any module whose first argument is the features.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._gradients: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Segmentation)
        head, gradients = pl_module.network.auxiliary, self._gradients

        # a closure, as a copy of the network for inference must not copy callback and trainer
        def branch(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
            features = inputs[0] if inputs else None
            if not (_logs(trainer) and isinstance(features, Tensor) and features.requires_grad):
                return None
            own = features.view_as(features)  # a node whose gradient is the auxiliary loss's alone
            for name, tensor in (("total", features), ("auxiliary", own)):
                keep = partial(_keep, gradients, name)
                tensor.register_hook(keep)  # type: ignore[no-untyped-call]
            return own, *inputs[1:]

        if head is not None:
            self._handle = head.register_forward_pre_hook(branch)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._gradients.keys() == {"auxiliary", "total"}:
            auxiliary, scale = self._gradients["auxiliary"], _loss_scale(trainer)
            main = self._gradients["total"] - auxiliary
            norms = {"auxiliary": auxiliary.norm() / scale, "main": main.norm() / scale}
            pl_module.log_dict({f"train/gradient_{name}": norm for name, norm in norms.items()})
        self._gradients.clear()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None


def _keep(gradients: dict[str, Tensor], name: str, gradient: Tensor) -> None:
    gradients[name] = gradient.detach()


def _logs(trainer: Trainer) -> bool:
    # as Lightning's logger connector decides of the step under way
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return every > 0 and (trainer.global_step + 1) % every == 0


def _loss_scale(trainer: Trainer) -> float:
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return 1.0 if scaler is None else float(scaler.get_scale())
