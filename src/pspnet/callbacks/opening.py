"""The opening lines of a training: its network, its machine, its length, its folder."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from pspnet.callbacks.costs import count_flops, count_parameters
from pspnet.models.pspnet import PSPNet
from pspnet.models.pyramid_pooling import PyramidPooling
from pspnet.runs.folder import link_latest
from pspnet.task import Segmentation


class Opening(Callback):
    """Say what is about to run, after the lines about the data and before the first step.

    The folder's link `latest` leads there from now on.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Segmentation)
        network, data = pl_module.network, trainer.datamodule  # type: ignore[attr-defined]
        folder, steps = trainer.log_dir, trainer.estimated_stepping_batches  # all processes ask
        if folder is not None and Path(folder).name.startswith("version_"):
            link_latest(Path(folder))
        rank_zero_info(f"network: {network_line(network, size=data.crop_size)}")
        rank_zero_info(f"machine: {_machine(trainer, pl_module.device)}")
        seed = os.environ.get("PL_GLOBAL_SEED", "none")  # Lightning's, drawn or given
        rank_zero_info(f"steps: {_length(steps, trainer.max_epochs)}, seed {seed}")
        rank_zero_info(f"folder: {folder}; Ctrl-C saves and stops, --resume continues")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step:  # restored since `on_fit_start`
            steps = trainer.estimated_stepping_batches
            of = f" of {steps:.0f}" if steps < float("inf") else ""
            rank_zero_info(f"continues after step {trainer.global_step}{of}")


def network_line(network: PSPNet, *, size: tuple[int, int]) -> str:
    """Return the network's parts, parameters and operations of one crop of `size` in a line."""
    encoder = network.options.get("encoder", type(network.encoder).__name__)
    parts = [f"{type(network).__name__} on {encoder}, stride {network.output_stride}"]
    if isinstance(network.pyramid, PyramidPooling):
        bins = " ".join(map(str, network.options["bins"])) or "none"
        parts.append(f"bins {bins} ({network.options['pool']})")
    parts.append(f"{count_parameters(network) / 1e6:.3g} M parameters")
    try:
        flops = count_flops(network, size=size) / 1e9
        parts.append(f"{flops:.3g} GFLOP a crop of {size[0]}×{size[1]}")
    except Exception:  # costs.json, at the end, says why somebody's own layers cannot be counted
        pass
    return ", ".join(parts)


def _length(steps: float, epochs: int | None) -> str:
    """Return what bounds a training in words; Lightning has -1 epochs where nothing bounds them."""
    bounded = f"{steps:.0f}" if steps < float("inf") else "no limit"
    return f"{bounded} in {epochs} epochs" if epochs is not None and epochs > 0 else bounded


def _machine(trainer: Trainer, device: torch.device) -> str:
    if device.type == "cuda":
        name = f"{trainer.world_size} × {torch.cuda.get_device_name(device)}"
    else:
        threads = torch.get_num_threads()
        name = f"{device.type.upper()}, {threads} thread{'s' if threads > 1 else ''}"
    return f"{name}, precision {trainer.precision}"
