"""The training that a checkpoint of semseg or mmsegmentation holds: optimizer, step, schedule.

Sources: hszhao/semseg, tool/train.py (groups of `layer0` to `layer4`, `ppm`, `cls`, `aux`; rates
set after each step); open-mmlab/mmcv, runner/iter_based_runner.py, epoch_based_runner.py,
optimizer/default_constructor.py, hooks/lr_updater.py; open-mmlab/mmengine, runner/runner.py,
optim/optimizer/amp_optimizer_wrapper.py and default_constructor.py, optim/scheduler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from torch import Tensor

from pspnet.errors import UserError, visible
from pspnet.models.published.python_source import assignments, section
from pspnet.models.published.weights_file import WeightsFile

SEMSEG_GROUPS = ("layer0.", "layer1.", "layer2.", "layer3.", "layer4.", "ppm.", "cls.", "aux.")
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # of BN, no parameters
LARGEST = 2**53


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
        averages: whether the file holds averaged weights, which are not read.
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
        raise _error(weights, f"no training of semseg or mmsegmentation; {remedy}={weights.path}")
    buffers, options = _optimizer(weights, {weights.key(name): name for name in parameters})
    if known == "semseg":
        epochs = _count(weights, weights.metadata, "epoch")
        return TrainingState("semseg", None, epochs, buffers, options, rate_age=0)
    meta = section(weights.metadata, "meta")
    text = meta.get("config") or meta.get("cfg")
    try:
        config = assignments(text) if isinstance(text, str) else {}
    except UserError as error:
        raise _error(weights, str(error)) from error
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
        if one.get("by_epoch") is False and one.get("begin") == 0:
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


def _optimizer(
    weights: WeightsFile, names: Mapping[str, str]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return buffers and group options of each parameter.

    torch numbers the parameters in the order of their groups; older versions give addresses.

    Args:
        weights: the file.
        names: of this package's parameters, by those in the file.
    """
    saved = weights.metadata.get("optimizer")
    groups, state = (
        (saved.get("param_groups"), saved.get("state")) if isinstance(saved, dict) else (None, None)
    )
    if not (isinstance(groups, list) and isinstance(state, dict)):
        raise _error(weights, f"holds no optimizer; start from it by --init_from={weights.path}")
    numbered: list[tuple[Any, dict[str, Any]]] = []
    for group in groups:
        places = group.get("params") if isinstance(group, dict) else None
        if not (isinstance(places, list) and all(isinstance(place, int) for place in places)):
            raise _error(weights, "its optimizer has a group without parameters; a damaged file")
        named = {key: value for key, value in group.items() if isinstance(key, str)}
        options = {k: v for k, v in named.items() if k != "params" and _is_setting(v)}
        if "lr" not in options:
            raise _error(weights, "its optimizer has a group without lr; a damaged file")
        numbered += [(place, options) for place in places]
    theirs = _in_order(weights)
    if len(numbered) != len(theirs):
        raise _error(
            weights, f"its optimizer has {len(numbered)} parameters, its network {len(theirs)}"
        )
    buffers: dict[str, dict[str, Any]] = {}
    for key, (place, _) in zip(theirs, numbered, strict=True):
        if entries := state.get(place):
            buffers[names[key]] = _checked(weights, key, entries)
    pairs = zip(theirs, numbered, strict=True)
    return buffers, {names[key]: options for key, (_, options) in pairs}


def _in_order(weights: WeightsFile) -> list[str]:
    """Return the parameters' names in the file, in the order in which its optimizer has them."""
    keys = [key for key in weights.state if not key.endswith(BUFFERS)]
    if weights.key_map is None or weights.key_map.name != "semseg":
        return keys
    return [key for group in SEMSEG_GROUPS for key in keys if key.startswith(group)]


def _checked(weights: WeightsFile, key: str, entries: Any) -> dict[str, Any]:
    """Return the buffers of a parameter; those of its size are finite and of its shape."""
    if not isinstance(entries, dict):
        raise _error(weights, f"its optimizer's state of {key!r} is no mapping; a damaged file")
    kept = {name: value for name, value in entries.items() if value is not None}
    for name, value in kept.items():
        name = visible(str(name))
        plain = isinstance(value, int | float) or (isinstance(value, Tensor) and not value.is_meta)
        if not plain or (isinstance(value, Tensor) and not value.isfinite().all()):
            raise _error(weights, f"{name} of {key!r} is no finite numbers; a damaged file")
        shape = tuple(value.shape) if isinstance(value, Tensor) else ()
        if shape not in ((), tuple(weights.state[key].shape)) or (shape == ()) != (name == "step"):
            wanted = tuple(weights.state[key].shape)
            raise _error(weights, f"{name} of {key!r} is {shape}, not {wanted}; another network's")
    return kept


def _is_setting(value: Any) -> bool:
    """Tell whether a value of a group is a finite number, or a pair of them as Adam's betas."""
    values = value if isinstance(value, tuple | list) and len(value) == 2 else [value]
    return all(isinstance(one, int | float) and isfinite(one) for one in values)


def _check_accumulation(weights: WeightsFile, config: Mapping[str, Any]) -> None:
    """Refuse gradients that are summed over iterations: their rate changes within a step."""
    for part, name in (
        ("optim_wrapper", "accumulative_counts"),
        ("optimizer_config", "cumulative_iters"),
    ):
        if section(config, part).get(name, 1) not in (1, None):
            raise _error(
                weights,
                f"{name}={section(config, part)[name]}: an iteration of it is a part of a step, "
                f"which cannot be continued; start from it by --init_from={weights.path}",
            )


def _count(weights: WeightsFile, content: Mapping[str, Any], name: str) -> int:
    value = content.get(name)
    if type(value) is not int or not 0 <= value < LARGEST:
        raise _error(weights, f"{name}={visible(f'{value!r:.40}')}, not the count of a training")
    return value


def _poly(power: Any, floor: Any, total: Any) -> Poly | None:
    numbers = all(type(value) in (int, float) for value in (power, floor))
    return Poly(power, floor, total) if numbers and type(total) is int and total > 0 else None


def _name(optimizer: Mapping[str, Any]) -> str | None:
    name = optimizer.get("type")
    return name if isinstance(name, str) else None


def _error(weights: WeightsFile, reason: str) -> UserError:
    return UserError(f"continue_from={weights.path}: {reason}")
