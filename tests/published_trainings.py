"""Trainings of semseg and mmsegmentation in plain PyTorch, and the checkpoints that they write.

Each follows its code's order of parameters, groups, learning rates and counters; nothing here
imports the package. Sources: hszhao/semseg, tool/train.py; open-mmlab/mmcv, runner; open-mmlab/
mmengine, runner/runner.py, optim/scheduler/param_scheduler.py, optim/optimizer; mmsegmentation,
configs/_base_/schedules.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine_classes import mmengine
from references import Mmsegmentation, Semseg, fill
from torch import Tensor, nn

SCALER = {
    **{"scale": 1024.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000},
    "_growth_tracker": 7,
}


class Training:
    """A network that is trained step by step; `done` counts the steps."""

    network: Semseg | Mmsegmentation
    optimizer: torch.optim.Optimizer

    def __init__(self, **options: Any) -> None:
        self.options, self.done = options, 0
        self.network = self.build()
        fill(self.network, seed=1)
        self.optimizer = self.build_optimizer()
        for group in self.optimizer.param_groups if self.keeps_initial else ():
            group["initial_lr"] = group["lr"]

    keeps_initial = True

    def build(self) -> Any:
        return Mmsegmentation(18, 3)

    def build_optimizer(self) -> torch.optim.Optimizer:
        kind = getattr(torch.optim, self.options.get("kind", "SGD"))
        own = {"lr": self.options["lr"], "weight_decay": self.options["decay"]}
        own |= {"momentum": 0.9} if kind is torch.optim.SGD else {}
        factor = self.options.get("head", 1)
        if factor == 1:
            return kind(self.network.parameters(), **own)
        named = [*self.network.named_parameters()]  # `paramwise_cfg`: a group for each
        rates = [own["lr"] * (factor if "head" in name else 1) for name, _ in named]
        groups = [{"params": [p], "lr": lr} for (_, p), lr in zip(named, rates, strict=True)]
        return kind(groups, **own)

    def before(self) -> None:
        """Set the rates of the step that is about to begin."""

    def after(self) -> None:
        """Set those of the next step."""

    def step(self, image: Tensor, label: Tensor) -> None:
        self.before()
        main, auxiliary = self.network(image)
        loss = self.network.loss(main, label) + 0.4 * self.network.loss(auxiliary, label)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.done += 1
        self.after()

    def train(self, steps: int, size: int = 65) -> None:
        generator = torch.Generator().manual_seed(2)
        for _ in range(steps):
            image = torch.randn(2, 3, size, size, generator=generator)
            self.step(image, torch.randint(3, (2, size, size), generator=generator))

    def from_checkpoint(self, content: dict[str, Any], steps: int) -> "Training":
        """Return this training in float64, as it was when it wrote a checkpoint."""
        again = type(self)(**self.options)
        state = {k.removeprefix("module."): v for k, v in content["state_dict"].items()}
        again.network.load_state_dict(state)
        again.network.double()
        saved = content["optimizer"]
        again.optimizer.load_state_dict({k: saved[k] for k in ("state", "param_groups")})
        again.done = steps
        return again

    def poly(self, base: float, step: int, total: int) -> float:
        low: float = self.options.get("low", 0.0)
        return (base - low) * (1 - step / total) ** 0.9 + low


class SemsegTraining(Training):
    """Options: lr, decay, epochs and epoch_steps."""

    keeps_initial = False

    def build(self) -> nn.Module:
        return Semseg(50, 3)

    def build_optimizer(self) -> torch.optim.Optimizer:
        net, lr = self.network, self.options["lr"]
        old = [net.layer0, net.layer1, net.layer2, net.layer3, net.layer4]
        groups = [{"params": part.parameters(), "lr": lr} for part in old]
        groups += [{"params": it.parameters(), "lr": lr * 10} for it in (net.ppm, net.cls, net.aux)]
        return torch.optim.SGD(groups, lr=lr, momentum=0.9, weight_decay=self.options["decay"])

    def after(self) -> None:
        total = self.options["epochs"] * self.options["epoch_steps"]
        lr = self.poly(self.options["lr"], self.done, total)
        for index, group in enumerate(self.optimizer.param_groups):
            group["lr"] = lr if index < 5 else lr * 10

    def checkpoint(self) -> dict[str, Any]:
        epoch, rest = divmod(self.done, self.options["epoch_steps"])
        assert not rest
        state = OrderedDict((f"module.{k}", v) for k, v in self.network.state_dict().items())
        return {"epoch": epoch, "state_dict": state, "optimizer": self.optimizer.state_dict()}


class MmcvTraining(Training):
    """mmsegmentation 0.x; options: lr, decay, iters, low, head, kind."""

    def before(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.poly(group["initial_lr"], self.done, self.options["iters"])

    def checkpoint(self) -> dict[str, Any]:
        kind, low = self.options.get("kind", "SGD"), self.options.get("low", 0.0)
        config = (
            f"optimizer = dict(type='{kind}', lr={self.options['lr']})\n"
            f"lr_config = dict(policy='poly', power=0.9, min_lr={low}, by_epoch=False)\n"
            f"runner = dict(type='IterBasedRunner', max_iters={self.options['iters']})\n"
            "checkpoint_config = dict(by_epoch=False, interval=2)\n"
        )
        # its hook saves before the iteration is counted
        meta = {"mmcv_version": "1.7.0", "config": config, "epoch": 1, "iter": self.done - 1}
        return {
            "meta": meta | {"CLASSES": ("ground", "disc", "bar"), "time": "Mon"},
            "state_dict": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }


class MmengineTraining(Training):
    """mmsegmentation 1.x; options: as those of 0.x, and amp."""

    def after(self) -> None:
        low, last = self.options.get("low", 0.0), self.options["iters"] - 1
        if self.done < self.options["iters"]:
            for group in self.optimizer.param_groups:
                shrunk = (1 - 1 / (last - self.done + 1)) ** 0.9
                group["lr"] = (group["lr"] - low) * shrunk + low

    def checkpoint(self) -> dict[str, Any]:
        """Return its content without the curves, see `save`."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        bases = [group["initial_lr"] for group in self.optimizer.param_groups]
        end = self.options["iters"]
        schedule = {
            **{"eta_min": self.options.get("low", 0.0), "power": 0.9, "total_iters": end - 1},
            **{"param_name": "lr", "begin": 0, "end": end, "by_epoch": False},
            **{"base_values": bases, "last_step": self.done, "_global_step": self.done},
            **{"verbose": False, "_last_value": rates},
        }
        kind = self.options.get("kind", "SGD")
        meta = {
            **{"epoch": 0, "iter": self.done, "seed": 1, "experiment_name": "pspnet"},
            **{"time": "20230101_000000", "mmengine_version": "0.10.4"},
            "cfg": f"optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='{kind}'))\n",
            "dataset_meta": {"classes": ("ground", "disc", "bar"), "palette": [[1, 2, 3]] * 3},
        }
        optimizer = self.optimizer.state_dict()
        return {
            **{"meta": meta, "state_dict": self.network.state_dict()},
            "message_hub": {
                "log_scalars": OrderedDict(),
                "runtime_info": OrderedDict(iter=self.done, epoch=0),
                "resumed_keys": OrderedDict({"train/loss": True}),
            },
            "optimizer": optimizer | ({"loss_scaler": SCALER} if "amp" in self.options else {}),
            "param_schedulers": [schedule],
        }


def save(content: dict[str, Any], path: Path) -> Path:
    """Write a checkpoint; the curves of mmengine's `message_hub` are objects of its class."""
    with mmengine() as buffer:
        if "message_hub" in content:
            loss = buffer()
            loss.__dict__ = {"max_length": 1000000, "_log_history": np.array([1.5])}
            scalars = OrderedDict({"train/loss": loss})
            hub = {**content["message_hub"], "log_scalars": scalars}
            content = {**content, "message_hub": hub}
        torch.save(content, path)
    return path
