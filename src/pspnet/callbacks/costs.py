"""The cost of a network and of its training: parameters, operations, memory, images per second."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pspnet.data.datamodule import SegmentationData
from pspnet.files.writing import make_folder, optional, write_atomic
from pspnet.models.pspnet import PSPNet
from pspnet.ops.equivalence import copy_without_memory
from pspnet.task import Segmentation

WARM_UP = 5  # steps before those that are timed


def count_parameters(network: PSPNet, *, inference: bool = False) -> int:
    """Count a network's parameters; for inference without the auxiliary head's."""
    skipped = network.auxiliary if inference else None
    spared = set() if skipped is None else {id(p) for p in skipped.parameters()}
    return sum(p.numel() for p in network.parameters() if id(p) not in spared)


def count_flops(network: nn.Module, *, size: tuple[int, int]) -> int:
    """Count the operations of one image's forward pass in evaluation mode, by torch's own counter.

    The network is counted as it stands, hooks included, on a copy without memory. A multiplication
    and an addition are two operations; only convolutions and matrix products count.

    Args:
        network: any network of one image.
        size: height and width of the image.
    """
    counted = copy_without_memory(network).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        counted(blank_image(counted, size))
    return int(counter.get_total_flops())


def blank_image(network: nn.Module, size: tuple[int, int]) -> Tensor:
    """Return a black image (1, C, H, W) of the network's device and type."""
    return next(network.parameters()).new_zeros(1, getattr(network, "in_channels", 3), *size)


def _flops_or_none(network: nn.Module, size: tuple[int, int]) -> int | None:
    """Count the operations; None, and a line in the log, where layers or hooks need real values."""
    try:
        return count_flops(network, size=size)
    except Exception as error:  # whatever somebody's own layers raise on shapes without values
        rank_zero_warn(f"costs.json has no FLOPs: {type(error).__name__}: {error}")
        return None


class Costs(Callback):
    """Write costs.json of a training, for W&B too: parameters, operations, time and memory.

    `images_per_second` counts all processes, from the median time between the ends of steps, the
    first few left out. `peak_memory`, in bytes, is the device's or, on a CPU, the process's
    resident set; null where the system does not tell.
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
        images = data.batch_size / trainer.accumulate_grad_batches
        network, on_gpu = pl_module.network, pl_module.device.type == "cuda"
        costs = {
            "parameters": count_parameters(network),
            "parameters_inference": count_parameters(network, inference=True),
            "flops": _flops_or_none(network, data.crop_size),
            "crop_size": list(data.crop_size),
            "images_per_second": images / median(timed) if timed else None,
            "peak_memory": peak_memory(pl_module.device),
            "peak_memory_of": "device" if on_gpu else "process",
            "device": torch.cuda.get_device_name() if on_gpu else "CPU",
            "precision": trainer.precision,
            "threads": torch.get_num_threads(),
            "seconds": time.perf_counter() - self._start,
        }
        text = json.dumps(costs, indent=2) + "\n"
        with optional("costs.json"):
            write_atomic(make_folder(Path(folder)) / "costs.json", text.encode())
        numbers = {f"costs/{key}": it for key, it in costs.items() if isinstance(it, int | float)}
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):  # a column of its table of runs
                logger.log_metrics(numbers)


def peak_memory(device: torch.device) -> int | None:
    """Return the most bytes that torch has held on a GPU, or this process on a CPU, until now."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows has none
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
