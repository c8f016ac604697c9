"""What a network and its training cost: parameters, operations, memory, images a second."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pspnet.data.datamodule import SegmentationData
from pspnet.models.pspnet import PSPNet, from_options
from pspnet.task import Segmentation

WARM_UP = 5  # steps before those that are timed


def count_parameters(network: PSPNet, *, inference: bool = False) -> int:
    """Number of parameters; for inference without the auxiliary head."""
    skipped = network.auxiliary if inference else None
    spared = set() if skipped is None else {id(p) for p in skipped.parameters()}
    return sum(p.numel() for p in network.parameters() if id(p) not in spared)


def count_flops(network: PSPNet, *, size: tuple[int, int]) -> int:
    """Operations of one image's forward pass in evaluation mode, by torch's own counter.

    A multiplication and an addition are two; only convolutions and matrix products count. Computed
    on a network without memory, so that it costs nothing and needs no weights.

    Args:
        network: any.
        size: height and width of the image.
    """
    with torch.device("meta"):
        hollow = from_options(network.options)
        hollow.fused_pyramid = network.fused_pyramid
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        hollow.eval()(torch.zeros(1, 3, *size, device="meta"))
    return int(counter.get_total_flops())


class Costs(Callback):
    """Writes costs.json of a training: parameters, operations, time and memory.

    `images_per_second` is of all processes, from the median time from step to step without the
    first few; `peak_memory`, in bytes, is the device's or, on a CPU, the process's resident set.
    """

    def __init__(self) -> None:
        self._last: float | None = None  # end of the step before
        self._steps: list[float] = []
        self._start = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start = time.perf_counter()
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._last = None  # what lies between two epochs is no step

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
    ) -> None:
        now = time.perf_counter()
        if self._last is not None:
            self._steps.append(now - self._last)
        self._last = now

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder = trainer.log_dir  # asks the first process, so all must ask
        if not trainer.is_global_zero or folder is None:
            return
        assert isinstance(pl_module, Segmentation)
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, SegmentationData)
        timed = self._steps[WARM_UP:] or self._steps
        images = data.batch_size * trainer.world_size
        network, on_gpu = pl_module.network, pl_module.device.type == "cuda"
        costs = {
            "parameters": count_parameters(network),
            "parameters_inference": count_parameters(network, inference=True),
            "flops": count_flops(network, size=data.crop_size),
            "crop_size": list(data.crop_size),
            "images_per_second": images / median(timed) if timed else None,
            "peak_memory": peak_memory(pl_module.device),
            "peak_memory_of": "device" if on_gpu else "process",
            "device": torch.cuda.get_device_name() if on_gpu else "CPU",
            "precision": trainer.precision,
            "threads": torch.get_num_threads(),
            "seconds": time.perf_counter() - self._start,
        }
        Path(folder).mkdir(parents=True, exist_ok=True)
        text = json.dumps(costs, indent=2)
        (Path(folder) / "costs.json").write_text(text + "\n", "utf-8")


def peak_memory(device: torch.device) -> int:
    """Most memory in bytes that torch has held on a GPU, or this process on a CPU, until now."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class AuxiliaryGradient(Callback):
    """Logs how hard the auxiliary and the main loss pull at the encoder, at stage 4's features.

    `train/gradient_auxiliary` is the norm of the gradient of the weighted auxiliary loss,
    `train/gradient_main` that of the main loss, of a process's batch, at each step that is logged.
    """

    def __init__(self) -> None:
        self._handles: list[Any] = []
        self._auxiliary: Tensor | None = None
        self._total: Tensor | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Segmentation)
        head = pl_module.network.auxiliary
        if head is not None:
            self._handles = [
                head.register_forward_pre_hook(lambda _, inputs: self._watch(trainer, inputs[0])),
                head[0].register_full_backward_hook(self._keep),
            ]

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._auxiliary is None or self._total is None:
            self._auxiliary = None  # of a step that is not logged
            return
        main = self._total - self._auxiliary
        scale = _loss_scale(trainer)
        pl_module.log_dict(
            {
                "train/gradient_auxiliary": self._auxiliary.norm() / scale,
                "train/gradient_main": main.norm() / scale,
            }
        )
        self._auxiliary = self._total = None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for handle in self._handles:
            handle.remove()

    def _watch(self, trainer: Trainer, stage4: Tensor) -> None:
        if _logs(trainer) and stage4.requires_grad:
            stage4.register_hook(self._keep_total)  # type: ignore[no-untyped-call]

    def _keep_total(self, gradient: Tensor) -> None:
        self._total = gradient.detach()

    def _keep(self, _: Any, of_input: Any, of_output: Any) -> None:
        self._auxiliary = of_input[0].detach()


def _logs(trainer: Trainer) -> bool:
    # as Lightning's logger connector decides of the step under way
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return every > 0 and (trainer.global_step + 1) % every == 0


def _loss_scale(trainer: Trainer) -> float:
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return 1.0 if scaler is None else float(scaler.get_scale())
