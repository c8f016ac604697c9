"""Checkpoints of our own runs, and what older ones called otherwise."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from pspnet.errors import UserError

SGD, POLY = "torch.optim.SGD", "pspnet.lr_schedules.PolyLR"
# what torch's readers raise for damaged files, found by changing single bytes of good ones
DAMAGED = (
    *(UnpicklingError, RuntimeError, ValueError, TypeError, EOFError, LookupError),
    *(AttributeError, AssertionError, OSError, struct.error),
)
MOVED = {  # options of version 0.1, by the class that takes them now
    **dict.fromkeys(("lr", "momentum", "weight_decay"), ("optimizer", SGD)),
    **dict.fromkeys(("power", "floor", "warmup_steps"), ("lr_scheduler", POLY)),
}


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of `python -m pspnet fit`; with `weights_only=True`, it can run no code.

    Returns:
        What Lightning saved; its `config` is in the words of this version.

    Raises:
        UserError: if there is no such file, or it is no checkpoint of this project's runs.
    """
    if not Path(path).is_file():
        raise UserError(f"ckpt_path={path}: no such file; give a .ckpt of a run")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise UserError(
            f"ckpt_path={path}: no torch file, or one that holds more than tensors and plain data, "
            "which could run code; give a .ckpt of a run"
        ) from error
    except DAMAGED as error:
        reason = str(error).strip().partition(". ")[0] or type(error).__name__
        raise UserError(f"ckpt_path={path}: not a readable checkpoint: {reason}") from error
    for key in ("hyper_parameters", "config", "state_dict"):
        if not isinstance(checkpoint, dict) or key not in checkpoint:
            raise UserError(
                f"ckpt_path={path}: lacks {key!r}; not a checkpoint of pspnet's fit. Published "
                "weights go through python -m pspnet convert"
            )
    return {**checkpoint, "config": upgraded(checkpoint["config"])}


def upgraded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's configuration with the options of version 0.1 under their names of today."""
    model, data = dict(config.get("model", {})), dict(config.get("data", {}))
    for key in MOVED.keys() & model.keys():
        part, class_path = MOVED[key]
        holder = model.setdefault(part, {"class_path": class_path, "init_args": {}})
        holder["init_args"][key] = model.pop(key)
    if "pictures" in data:
        data["images"] = data.pop("pictures")
    augmentation = data.get("augmentation")
    if isinstance(augmentation, Mapping) and "more" in augmentation:
        kept = {key: value for key, value in augmentation.items() if key != "more"}
        data["augmentation"] = {**kept, "extra": augmentation["more"]}
    source = data.get("source")
    if isinstance(source, Mapping) and str(source.get("class_path", "")).startswith("pspnet.data."):
        name = source["class_path"].rpartition(".")[2]
        data["source"] = {**source, "class_path": f"pspnet.data.{name}"}
    return {**config, "model": model, "data": data}
