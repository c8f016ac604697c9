"""Checkpoints of our own runs, checked before they are used, and the words of older ones.

A file of unknown origin holds tensors and plain data, or it is refused. Its configuration is data,
too: `pspnet.checkpoints.trust` decides what of it is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pspnet.errors import UserError
from pspnet.files.text import pspnet_command
from pspnet.models.options import check_structure
from pspnet.models.pspnet import from_options
from pspnet.models.torch_file import load, regular_file

SGD, POLY = "torch.optim.SGD", "pspnet.lr_schedules.PolyLR"
MOVED = {  # options of version 0.1, by the class that takes them now
    **dict.fromkeys(("lr", "momentum", "weight_decay"), ("optimizer", SGD)),
    **dict.fromkeys(("power", "floor", "warmup_steps"), ("lr_scheduler", POLY)),
}
PARTS = {  # that must be mappings, by name
    "state_dict": (),
    "hyper_parameters": ("network", "classes"),
    "config": ("data", "model"),
}
VERSION = "pytorch-lightning_version"
LARGEST = 10_000  # of all numbers of classes, channels and bins
DAMAGED = "a damaged file"
OTHER = (
    "another network's, or one edited after its construction; edit a network likewise and give it: "
    "load_from_checkpoint(path, network=network)"
)


def read_checkpoint(path: str | Path, *, parts: tuple[str, ...] = tuple(PARTS)) -> dict[str, Any]:
    """Read a checkpoint of `python -m pspnet fit`, with `weights_only=True` and its checksums.

    Args:
        path: the file.
        parts: the entries that must be there and have the form of such a checkpoint's.

    Returns:
        What Lightning saved; its `config`, if there is one, is in the words of this version.

    Raises:
        UserError: if there is no such file, it is damaged, or no checkpoint of this project's runs.
    """
    path = regular_file(path, expected="a .ckpt of a run")
    return checked(load(path), path=path, parts=parts)


def checked(checkpoint: Any, *, path: Path, parts: tuple[str, ...]) -> dict[str, Any]:
    """Return the content of a file if it has the form of a checkpoint, see `read_checkpoint`."""
    if isinstance(checkpoint, dict) and {"state_dict", "hyper_parameters"} <= checkpoint.keys():
        checkpoint.setdefault("config", {})  # of a training from Python by an earlier version
    for key in parts:
        if not isinstance(checkpoint, dict) or key not in checkpoint:
            raise UserError(
                f"{path}: lacks {key!r}; not a checkpoint of pspnet's fit. Published "
                f"weights go through {pspnet_command('convert')}"
            )
        for place in (key, *(f"{key}.{inner}" for inner in PARTS[key])) if key in PARTS else ():
            _check_mapping(checkpoint, place, path=path)
    for name, value in checkpoint.get("state_dict", {}).items():
        if not isinstance(value, Tensor):
            raise UserError(f"{path}: {name!r} is no tensor; {DAMAGED}")
    _check_origin(checkpoint, path=path)
    structure = checkpoint.setdefault("structure", {})
    if not (isinstance(structure, dict) and all(isinstance(v, str) for v in structure.values())):
        raise UserError(f"{path}: structure is no mapping of texts; {DAMAGED}")
    return {
        **checkpoint,
        **({"config": upgraded(checkpoint["config"])} if "config" in parts else {}),
    }


def _check_origin(checkpoint: Mapping[str, Any], *, path: Path) -> None:
    """Refuse what Lightning would take for a file of its first versions, or for other arguments."""
    version = checkpoint.get(VERSION, "2.0.0")
    if not (isinstance(version, str) and re.match(r"[2-9]\.\d+\.\d+", version)):
        raise UserError(f"{path}: is of Lightning {version!r}, not 2.0.0 or newer; {DAMAGED}")
    for key in ("hparams", "module_arguments", "hparams_name", "hparams_type"):
        if key in checkpoint:
            raise UserError(f"{path}: holds {key!r}, which no run of this package writes")


def _check_mapping(checkpoint: Mapping[str, Any], place: str, *, path: Path) -> None:
    value: Any = checkpoint
    for key in place.split("."):
        value = value.get(key, {} if place.startswith("config.") else None)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise UserError(f"{path}: {place} is {_kind(value)}, not a mapping by name; {DAMAGED}")


def check_network(checkpoint: Mapping[str, Any], *, path: str | Path) -> None:
    """Refuse a checkpoint whose tensors are not those of the PSPNet that it describes.

    The network is built without memory for its values. One of another class than PSPNet is not
    built here; `check_state` compares it when it is.

    Raises:
        UserError: naming the first tensor that differs, or the option that no PSPNet has.
    """
    options = checkpoint["hyper_parameters"]["network"]
    if "class_path" in options:
        return
    for key, value in options.items():
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int) and abs(number) > LARGEST:
                raise UserError(f"{path}: network.{key}={number!r:.20}; {DAMAGED}")
    try:
        with torch.device("meta"):  # shapes alone
            network = from_options({**options, "encoder_weights": None})
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    state = {
        key.removeprefix("network."): value
        for key, value in checkpoint["state_dict"].items()
        if key.startswith("network.")
    }
    check_state(network.state_dict(), state, path=path)
    try:
        check_structure(network, checkpoint["structure"], without="encoder")
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def check_state(
    own: Mapping[str, Tensor], saved: Mapping[str, Tensor], *, path: str | Path
) -> None:
    """Refuse tensors of a file that are not those of a network, or are damaged.

    Args:
        own: the network's state; its values count only where they are not finite, as in a mask.
        saved: the file's.
        path: the file.

    Raises:
        UserError: naming the tensors that are missing or unknown, or the first one of another shape
            or kind of number, not finite, or a variance below 0.
    """
    missing = [key for key in own if key not in saved]
    unknown = [key for key in saved if key not in own]
    if missing or unknown:
        lacks = [f"lacks {_few(missing)}"] if missing else []
        holds = [f"holds {_few(unknown)}, which this network lacks"] if unknown else []
        cause = OTHER if unknown else f"{DAMAGED}, or {OTHER}"
        raise UserError(f"{path}: {', and '.join(lacks + holds)}; {cause}")
    for key, value in saved.items():
        if value.shape != own[key].shape:
            shapes = f"{tuple(value.shape)}, not {tuple(own[key].shape)}"
            raise UserError(f"{path}: {key!r} is {shapes}; {OTHER}")
        if found := fault(value, like=own[key], variance=key.endswith("running_var")):
            raise UserError(f"{path}: {key!r} holds {found}; {DAMAGED}")


def fault(value: Tensor, *, like: Tensor, variance: bool) -> str | None:
    """Return why a tensor of a file cannot be taken for another one; None if it can.

    Args:
        value: the file's.
        like: the network's; its values count only where they are not finite, as in a mask.
        variance: no value may be below 0.
    """
    if value.layout != torch.strided or value.is_meta or value.is_quantized:
        return "no plain values"
    kinds = [(x.is_floating_point(), x.is_complex(), x.dtype == torch.bool) for x in (value, like)]
    if kinds[0] != kinds[1]:
        return f"{value.dtype}, not {like.dtype}".replace("torch.", "")
    if not value.is_floating_point():
        return None
    finite = torch.isfinite(value.to(torch.float32))
    if not like.is_meta and like.shape == value.shape:
        finite |= ~torch.isfinite(like.to(finite.device))
    if not finite.all():
        return f"{value[~finite].flatten()[0].item()}, not finite numbers"
    return "variances below 0" if variance and (value < 0).any() else None


def _few(keys: list[str]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(map(repr, keys[:3])) + more


def _kind(value: object) -> str:
    return "missing" if value is None else type(value).__name__


def upgraded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's configuration with the options of version 0.1 under their names of today."""
    model, data = dict(config.get("model", {})), dict(config.get("data", {}))
    for key in MOVED.keys() & model.keys():
        part, class_path = MOVED[key]
        holder = model.setdefault(part, {"class_path": class_path, "init_args": {}})
        if not isinstance(holder, dict) or not isinstance(holder.get("init_args"), dict):
            raise UserError(f"model.{part} is {_kind(holder)}, not a class; {DAMAGED}")
        holder["init_args"][key] = model.pop(key)
    if "pictures" in data:
        data["images"] = data.pop("pictures")
    augmentation = data.get("augmentation")
    if isinstance(augmentation, Mapping) and "more" in augmentation:
        kept = {key: value for key, value in augmentation.items() if key != "more"}
        data["augmentation"] = {**kept, "extra": augmentation["more"]}
    source = data.get("source")
    if isinstance(source, Mapping):
        head, _, name = str(source.get("class_path", "")).rpartition(".")
        if not head or head.startswith("pspnet.data"):
            data["source"] = {**source, "class_path": f"pspnet.data.{name}"}
    return {**config, "model": model, "data": data}
