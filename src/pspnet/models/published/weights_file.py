"""Weights files: their tensors, read without running code and mapped to this package's names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pspnet.errors import UserError
from pspnet.models.published import caffe
from pspnet.models.published.key_maps import PSPNET, KeyMap, recognize
from pspnet.models.torch_file import check_plain, first_line, load, regular_file

WEIGHTS, CONFIG = "model.safetensors", "config.json"  # of a folder as the Hub holds it
SUFFIXES = (".safetensors", ".ckpt", ".pth", ".pt", ".bin", ".caffemodel")


@dataclass(frozen=True)
class WeightsFile:
    """The content of a weights file.

    Args:
        path: the file.
        state: the tensors by their names in the file, without a leading `module.`.
        metadata: the entries of the file beside the tensors.
        key_map: None if the tensors are not a published PSPNet's, as in an ImageNet network's file.
    """

    path: Path
    state: Mapping[str, Tensor]
    metadata: Mapping[str, Any]
    key_map: KeyMap | None

    def key(self, own: str) -> str:
        """Return the name in the file of one of this package's tensors."""
        assert self.key_map is not None
        return self.key_map.key(own)

    def tensor(self, key: str) -> Tensor:
        """Return a tensor by its name in the file.

        Raises:
            UserError: if there is none.
        """
        if key not in self.state:
            raise UserError(
                f"{self.path}: lacks {key!r}; these are another network's weights, or not all of it"
            )
        return self.state[key]


def read_weights(path: str | Path) -> WeightsFile:
    """Read a checkpoint, a state dict, a safetensors file or a `.caffemodel` without running code.

    Args:
        path: the file, or a folder with one such file, as a snapshot of the Hugging Face Hub.

    Raises:
        UserError: if the file is missing or damaged, or holds more than tensors and plain data.
    """
    path = regular_file(_in_folder(Path(path)), expected="a file of weights")
    if path.suffix == ".caffemodel":
        model = caffe.read(path)
        key = partial(caffe.key, bins=model.bins, auxiliary=model.auxiliary)
        caffe_map = KeyMap("caffe", key, caffe.heads(model.auxiliary), "s")
        return WeightsFile(path, model.state, {"caffe": model}, caffe_map)
    content = _load_safetensors(path) if path.suffix == ".safetensors" else load(path)
    content = content if isinstance(content, dict) else {}
    state = content.get("state_dict", content)
    if not (isinstance(state, dict) and state and all(map(_named, state.items()))):
        raise UserError(f"{path}: not a readable weights file: no dictionary of tensors by name")
    metadata = {} if state is content else {k: v for k, v in content.items() if k != "state_dict"}
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    key_map = recognize(state)
    if key_map is PSPNET:  # the LightningModule may have tensors of its own
        metadata = metadata or _beside(path)
        state = {key: value for key, value in state.items() if key.startswith("network.")}
    return WeightsFile(path, state, metadata, key_map)


def _beside(path: Path) -> dict[str, Any]:
    """Return the entries of the config.json beside a safetensors file of this package, if any."""
    if not (path.parent / CONFIG).exists():
        return {}
    config = regular_file(path.parent / CONFIG, expected="a file of save_pretrained")
    try:
        content = json.loads(config.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: its {CONFIG} cannot be read: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise UserError(f"{config}: no mapping by name; a damaged file")
    check_plain(content, path=config)
    return content


def _in_folder(path: Path) -> Path:
    """Return the one file of weights in a folder, or any other path as it is."""
    try:
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    except (OSError, ValueError):  # no folder
        return path
    if len(found) != 1:
        names = ", ".join(file.name for file in found[:4]) or "none"
        raise UserError(f"{path}: a folder with {len(found)} files of weights ({names}); give one")
    return found[0]


def rename_tensors(
    own: Mapping[str, Tensor], weights: WeightsFile, *, encoder_only: bool = False
) -> dict[str, Tensor]:
    """Return the tensors of a file under the names of `own`, complete, as float32.

    Args:
        own: a state dict of this package; only its names, shapes and types are used.
        weights: a file with a key map.
        encoder_only: `own` is the encoder alone, and the heads in the file are ignored.

    Raises:
        UserError: naming the first tensor that is missing, unknown, of another shape, or refused
            by `as_float32`.
    """
    assert weights.key_map is not None
    path = weights.path
    network = "this encoder" if encoder_only else f"a PSPNet of {weights.key_map.name}"
    keys = {name: weights.key(name) for name in own}
    found = {
        name: weights.tensor(key)
        for name, key in keys.items()
        if key in weights.state or not name.endswith("num_batches_tracked")
    }
    known, ignored = set(keys.values()), weights.key_map.heads if encoder_only else ()
    foreign = [k for k in weights.state if k not in known and not k.startswith(ignored)]
    if foreign:
        raise UserError(f"{path}: holds {foreign[0]!r}, which {network} lacks; another network's")
    for name, value in found.items():
        if value.shape != own[name].shape:
            shapes = f"{tuple(value.shape)}, not {tuple(own[name].shape)}"
            line = f"{keys[name]!r} is {shapes} as in {network}; another network's"
            raise UserError(f"{path}: {line}")
        if own[name].is_floating_point():  # all but BN's counters
            found[name] = as_float32(value, key=keys[name], path=path)
    # files older than torch 0.4.1 have no such counters
    return {name: found.get(name, torch.zeros((), dtype=torch.long)) for name in own}


def as_float32(value: Tensor, *, key: str, path: Path) -> Tensor:
    """Convert a tensor of a file to float32.

    Args:
        value: any tensor with at least one element.
        key: its name; if it ends in "running_var" the values must be 0 or more.
        path: the file.

    Raises:
        UserError: if the values are not dense and finite floats.
    """
    dense = value.layout == torch.strided and not value.is_meta
    if not (dense and value.is_floating_point()):
        kind = value.dtype if dense else "no values" if value.is_meta else value.layout
        held = str(kind).removeprefix("torch.")
        raise UserError(f"{path}: {key!r} holds {held}, not floats; a damaged file")
    value = value.float()
    low, high = (bound.item() for bound in value.aminmax())  # both NaN if one value is
    if not (isfinite(low) and isfinite(high)):
        worst = high if isfinite(low) else low
        raise UserError(f"{path}: {key!r} holds {worst}, not finite floats; a damaged file")
    if key.endswith("running_var") and low < 0:
        raise UserError(f"{path}: {key!r} holds {low:.6g}, not variances; a damaged file")
    return value


def _named(item: tuple[Any, Any]) -> bool:
    key, value = item
    return isinstance(key, str) and isinstance(value, Tensor)


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: not a readable weights file: {first_line(error)}; fetch it again"
        ) from error
