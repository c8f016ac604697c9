"""The optimizer's state in a checkpoint of semseg or mmsegmentation, checked value by value.

Sources: hszhao/semseg, tool/train.py (groups of `layer0` to `layer4`, `ppm`, `cls`, `aux`);
torch/optim (sgd.py, adam.py, adamw.py: what they keep of a parameter).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import torch
from torch import Tensor

from pspnet.errors import UserError, visible
from pspnet.models.published.weights_file import WeightsFile

SEMSEG_GROUPS = ("layer0.", "layer1.", "layer2.", "layer3.", "layer4.", "ppm.", "cls.", "aux.")
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # of BN, no parameters
REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.int64)
SQUARES = ("exp_avg_sq", "max_exp_avg_sq")
SETTINGS = (
    *("lr", "initial_lr", "weight_decay", "momentum", "dampening", "nesterov", "betas", "eps"),
    *("amsgrad", "maximize", "decoupled_weight_decay"),
)
LARGEST = 2**53


def read_optimizer(
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
        raise refusal(weights, f"holds no optimizer; start from it by --init_from={weights.path}")
    numbered: list[tuple[Any, dict[str, Any]]] = []
    for group in groups:
        places = group.get("params") if isinstance(group, dict) else None
        if not (isinstance(places, list) and all(isinstance(place, int) for place in places)):
            raise refusal(weights, "its optimizer has a group without parameters; a damaged file")
        options = _settings(weights, group)
        numbered += [(place, options) for place in places]
    theirs = _in_order(weights)
    if len(numbered) != len(theirs):
        raise refusal(
            weights, f"its optimizer has {len(numbered)} parameters, its network {len(theirs)}"
        )
    buffers: dict[str, dict[str, Any]] = {}
    for key, (place, _) in zip(theirs, numbered, strict=True):
        if (entries := state.get(place)) is not None and (kept := _checked(weights, key, entries)):
            buffers[names[key]] = kept
    pairs = zip(theirs, numbered, strict=True)
    return buffers, {names[key]: options for key, (_, options) in pairs}


def _in_order(weights: WeightsFile) -> list[str]:
    """Return the parameters' names in the file, in the order in which its optimizer has them."""
    keys = [key for key in weights.state if not key.endswith(BUFFERS)]
    if weights.key_map is None or weights.key_map.name != "semseg":
        return keys
    return [key for group in SEMSEG_GROUPS for key in keys if key.startswith(group)]


def _settings(weights: WeightsFile, group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a group, which are finite numbers."""
    settings = {name: group[name] for name in SETTINGS if name in group}
    for name, value in settings.items():
        pair = isinstance(value, tuple | list) and len(value) == 2 and all(map(is_number, value))
        if not (pair if name == "betas" else is_number(value)):
            said = f"its optimizer has {name}={shown(value)}, no finite number"
            raise refusal(weights, f"{said}; a damaged file")
    for name in ("lr", "weight_decay"):
        if name not in settings:
            raise refusal(weights, f"its optimizer has a group without {name}; a damaged file")
    return settings


def _checked(weights: WeightsFile, key: str, entries: Any) -> dict[str, Any]:
    """Return the buffers of a parameter: finite, of its shape, and counts and squares from 0 on."""
    if not (isinstance(entries, dict) and all(isinstance(name, str) for name in entries)):
        raise refusal(weights, f"its optimizer's state of {key!r} is no mapping; a damaged file")
    kept = {name: value for name, value in entries.items() if value is not None}
    for name, value in kept.items():
        said = f"{visible(name)} of {key!r}"
        wanted = () if name == "step" else tuple(weights.state[key].shape)
        numbers = torch.tensor(value) if is_number(value) else value
        if not (isinstance(numbers, Tensor) and _is_plain(numbers)):
            raise refusal(weights, f"{said} is no finite numbers; a damaged file")
        shape = tuple(numbers.shape)
        if shape != wanted:
            raise refusal(weights, f"{said} is {shape}, not {wanted}; another network's")
        low, high = (bound.item() for bound in numbers.aminmax())  # both NaN if one value is
        if not -inf < low <= high < inf:
            raise refusal(weights, f"{said} is no finite numbers; a damaged file")
        if (name in SQUARES and low < 0) or (name == "step" and not 0 <= low < LARGEST):
            kind = "count" if name == "step" else "average of squares"
            raise refusal(weights, f"{said} has {low:.6g}, the {kind} of no training")
    return kept


def _is_plain(value: Tensor) -> bool:
    """Tell whether a tensor holds real numbers, one by one."""
    return value.layout == torch.strided and not value.is_meta and value.dtype in REAL


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number of a magnitude that floats keep."""
    return isinstance(value, int | float) and abs(value) < LARGEST


def shown(value: Any) -> str:
    """Return a value for an error's line; its type where it is not short."""
    if isinstance(value, int | float) and abs(value) >= LARGEST:
        return str(value) if isinstance(value, float) else "a huge number"
    plain = value is None or isinstance(value, int | float | str)
    return visible(f"{value!r:.40}") if plain else type(value).__name__


def refusal(weights: WeightsFile, reason: str) -> UserError:
    """Return the error of a file that cannot be continued."""
    return UserError(f"continue_from={weights.path}: {reason}")
