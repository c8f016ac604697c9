"""The training that a checkpoint of semseg or mmsegmentation holds: optimizer, step, schedule.

Sources: hszhao/semseg, tool/train.py (groups of `layer0` to `layer4`, `ppm`, `cls`, `aux`; rates
set after each step); open-mmlab/mmcv, runner/iter_based_runner.py, epoch_based_runner.py,
optimizer/default_constructor.py, hooks/lr_updater.py; open-mmlab/mmengine, runner/runner.py,
optim/optimizer/amp_optimizer_wrapper.py and default_constructor.py, optim/scheduler,
hooks/ema_hook.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from pspnet.errors import UserError
from pspnet.models.published.python_source import assignments, first_of, section
from pspnet.models.published.saved_optimizer import (
    LARGEST,
    is_number,
    read_optimizer,
    refusal,
    shown,
)
from pspnet.models.published.weights_file import WeightsFile


@dataclass(frozen=True)
class Poly:
    """The poly decay of another code: floor + (rate - floor)·(1 - step/total)^power."""

    power: float
    floor: float
    total: int


@dataclass(frozen=True)
class TrainingState:
    """The state of another code's training, by the parameters' names in this package.

    Args:
        origin: the code that wrote it.
        steps: of the optimizer; None where the file counts epochs alone.
        epochs: that are complete; None where the file does not count them.
        buffers: of the optimizer, such as "momentum_buffer", of each parameter that has some.
        options: of each parameter's group: lr, momentum, weight_decay and so on.
        rate_age: steps since `lr` was used: 1 where it is the last step's, 0 where the next one's.
        optimizer: name of its class; None if the file does not say.
        poly: its schedule; None if the file does not say, or it is another one.
        loss_scale: state of a GradScaler; None if there is none.
        averages: whether the file holds averaged weights, too, which are not read.
    """

    origin: str
    steps: int | None
    epochs: int | None
    buffers: Mapping[str, Mapping[str, Any]]
    options: Mapping[str, Mapping[str, Any]]
    rate_age: int
    optimizer: str | None = None
    poly: Poly | None = None
    loss_scale: Mapping[str, Any] | None = None
    averages: bool = False


def weights_in_training(weights: WeightsFile) -> WeightsFile:
    """Return a file with the weights that its optimizer changes, where it holds averages as well.

    mmengine's EMAHook saves the averages as `state_dict`, and the weights in training, with their
    statistics, behind `module.` in `ema_state_dict`. What that lacks is not averaged.

    Raises:
        UserError: if the weights are no tensors of the network.
    """
    saved = weights.metadata.get("ema_state_dict")
    if saved is None or weights.key_map is None or weights.key_map.name != "mmsegmentation":
        return weights
    if not isinstance(saved, dict):
        raise refusal(weights, "its ema_state_dict is no mapping; a damaged file")
    state = dict(weights.state)
    for name, value in saved.items():
        if not (isinstance(name, str) and name.startswith("module.")):
            continue  # `steps`
        key = name.removeprefix("module.")
        if key not in state or not isinstance(value, Tensor):
            raise refusal(weights, f"ema_state_dict: {key!r} is no weight; a damaged file")
        state[key] = value
    return replace(weights, state=state)


def read_training_state(weights: WeightsFile, parameters: Iterable[str]) -> TrainingState:
    """Read the training in a file of weights.

    Args:
        weights: the file.
        parameters: the names of the network's parameters in this package.

    Raises:
        UserError: if there is none, it is damaged, or its optimizer is not the network's.
    """
    known = weights.key_map.name if weights.key_map is not None else ""
    if known not in ("semseg", "mmsegmentation"):
        remedy = "resume it by --ckpt_path" if known == "pspnet" else "start from it by --init_from"
        raise refusal(weights, f"no training of semseg or mmsegmentation; {remedy}={weights.path}")
    buffers, options = read_optimizer(weights, {weights.key(name): name for name in parameters})
    if known == "semseg":
        epochs = _count(weights, weights.metadata, "epoch")
        return TrainingState("semseg", None, epochs, buffers, options, rate_age=0)
    meta = section(weights.metadata, "meta")
    text = first_of(str, meta.get("config"), meta.get("cfg"))
    try:
        config = {} if text is None else assignments(text)
    except UserError as error:
        raise refusal(weights, str(error)) from error
    _check_accumulation(weights, config)
    newer = "cfg" in meta or "mmengine_version" in meta or "message_hub" in weights.metadata
    read = _mmengine if newer else _mmcv
    return read(weights, meta, config, buffers, options)


def _mmcv(
    weights: WeightsFile,
    meta: Mapping[str, Any],
    config: Mapping[str, Any],
    buffers: Mapping[str, Any],
    options: Mapping[str, Any],
) -> TrainingState:
    """Read a training of mmsegmentation 0.x.

    Its hook saves after a step and before the iteration is counted, unless it saves by epochs. So
    `iter_40000.pth` says 39999; resumed by mmcv, it takes that iteration's rate twice.
    """
    epochwise = section(config, "runner").get("type") == "EpochBasedRunner"
    by_epoch = section(config, "checkpoint_config").get("by_epoch", epochwise) is True
    steps = _count(weights, meta, "iter") + (0 if by_epoch else 1)
    lr, poly = section(config, "lr_config"), None
    total = section(config, "runner").get("max_iters") or config.get("total_iters")
    if lr.get("policy") == "poly" and lr.get("by_epoch") is False and not lr.get("warmup"):
        poly = _poly(lr.get("power", 1.0), lr.get("min_lr", 0.0), total)
    return TrainingState(
        "mmsegmentation 0.x",
        steps,
        None,
        buffers,
        options,
        rate_age=1,
        optimizer=_name(section(config, "optimizer")),
        poly=poly,
        loss_scale=section(section(meta, "fp16"), "loss_scaler") or None,
    )


def _mmengine(
    weights: WeightsFile,
    meta: Mapping[str, Any],
    config: Mapping[str, Any],
    buffers: Mapping[str, Any],
    options: Mapping[str, Any],
) -> TrainingState:
    """Read a training of mmsegmentation 1.x, whose PolyLR reaches its floor in the last step."""
    found = weights.metadata.get("param_schedulers")
    schedules = [it for it in found if isinstance(it, dict)] if isinstance(found, list) else []
    poly = None
    if len(schedules) == 1 and {"eta_min", "power", "total_iters"} <= schedules[0].keys():
        one = schedules[0]
        if one.get("by_epoch") is False and type(one.get("begin")) is int and not one["begin"]:
            poly = _poly(one["power"], one["eta_min"], one["total_iters"])
    wrapper = section(config, "optim_wrapper")
    return TrainingState(
        "mmsegmentation 1.x",
        _count(weights, meta, "iter"),
        None,
        buffers,
        options,
        rate_age=0,
        optimizer=_name(section(wrapper, "optimizer") or section(config, "optimizer")),
        poly=poly,
        loss_scale=section(section(weights.metadata, "optimizer"), "loss_scaler") or None,
        averages="ema_state_dict" in weights.metadata,
    )


def _check_accumulation(weights: WeightsFile, config: Mapping[str, Any]) -> None:
    """Refuse gradients that are summed over iterations: their rate changes within a step."""
    for part, name in (
        ("optim_wrapper", "accumulative_counts"),
        ("optimizer_config", "cumulative_iters"),
    ):
        count = section(config, part).get(name, 1)
        if count not in (1, None):
            raise refusal(
                weights,
                f"{name}={shown(count)}: an iteration of it is a part of a step, "
                f"which cannot be continued; start from it by --init_from={weights.path}",
            )


def _count(weights: WeightsFile, content: Mapping[str, Any], name: str) -> int:
    value = content.get(name)
    if type(value) is not int or not 0 <= value < LARGEST:
        raise refusal(weights, f"{name}={shown(value)}, not the count of a training")
    return value


def _poly(power: Any, floor: Any, total: Any) -> Poly | None:
    numbers = all(type(value) in (int, float) and is_number(value) for value in (power, floor))
    counts = type(total) is int and 0 < total < LARGEST
    return Poly(power, floor, total) if numbers and counts else None


def _name(optimizer: Mapping[str, Any]) -> str | None:
    name = optimizer.get("type")  # `SGD`, or in newer configurations `torch.optim.sgd.SGD`
    if not isinstance(name, str):
        return None
    return name.rpartition(".")[2] if name.startswith("torch.optim.") else name
