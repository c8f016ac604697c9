"""Key layouts of published checkpoints: which of a file's tensors is which of ours."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from torch import Tensor

from pspnet.errors import UserError
from pspnet.models.published import caffe

LayoutName = Literal["semseg", "mmsegmentation", "caffe", "pspnet"]
Rules = tuple[tuple[str, str], ...]

ENCODER = r"encoder\.(?:model\.)?"  # smp keeps timm's networks behind `model.`
_SEMSEG: Rules = (
    (ENCODER + r"conv1\.(\d)\.", r"layer0.\1."),
    (ENCODER + r"bn1\.", "layer0.7."),
    (ENCODER, ""),
    (r"pyramid\.levels\.(\d+)\.0\.", r"ppm.features.\1.1."),
    (r"pyramid\.levels\.(\d+)\.1\.", r"ppm.features.\1.2."),
    (r"decoder\.", "cls."),
    (r"auxiliary\.", "aux."),
)
_MMSEGMENTATION: Rules = (
    (ENCODER, "backbone."),
    (r"pyramid\.levels\.(\d+)\.0\.", r"decode_head.psp_modules.\1.1.conv."),
    (r"pyramid\.levels\.(\d+)\.1\.", r"decode_head.psp_modules.\1.1.bn."),
    (r"decoder\.0\.", "decode_head.bottleneck.conv."),
    (r"decoder\.1\.", "decode_head.bottleneck.bn."),
    (r"decoder\.4\.", "decode_head.conv_seg."),
    (r"auxiliary\.0\.", "auxiliary_head.convs.0.conv."),
    (r"auxiliary\.1\.", "auxiliary_head.convs.0.bn."),
    (r"auxiliary\.4\.", "auxiliary_head.conv_seg."),
)
_V1C: Rules = (
    (ENCODER + r"conv1\.(\d)\.", r"backbone.stem.\1."),
    (ENCODER + r"bn1\.", "backbone.stem.7."),
    *_MMSEGMENTATION,
)
_PSPNET: Rules = (("", "network."),)


def _renamed(key: str, *, rules: Rules) -> str:
    """`key` with its beginning replaced by the first rule that fits it."""
    for beginning, replacement in rules:
        if match := re.match(beginning, key):
            return match.expand(replacement) + key[match.end() :]
    return key


@dataclass(frozen=True)
class Layout:
    """How the tensors of a PSPNet are called by whoever published it.

    Args:
        name: of the publisher.
        key: name there of a tensor of ours.
        heads: beginnings of the names there that are not the encoder's.
        stem: suffix of timm's ResNet with the stem that goes with the layout: "s" for 64-64-128,
            "c" for 32-32-64, none for a 7×7 convolution.
    """

    name: LayoutName
    key: Callable[[str], str]
    heads: tuple[str, ...]
    stem: Literal["s", "c", ""] = ""


SEMSEG = Layout("semseg", partial(_renamed, rules=_SEMSEG), ("ppm.", "cls.", "aux."), "s")
_HEADS = ("decode_head.", "auxiliary_head.")
MMSEGMENTATION = Layout("mmsegmentation", partial(_renamed, rules=_MMSEGMENTATION), _HEADS)
MMSEGMENTATION_V1C = Layout("mmsegmentation", partial(_renamed, rules=_V1C), _HEADS, "c")
PSPNET = Layout(
    "pspnet",
    partial(_renamed, rules=_PSPNET),
    tuple(f"network.{head}." for head in ("pyramid", "decoder", "auxiliary")),
)


@dataclass(frozen=True)
class Weights:
    """The tensors of a file by their names there.

    Args:
        path: the file.
        state: the tensors; `module.` is left out.
        notes: what else the file holds.
        layout: None for tensors of no published PSPNet, as of a network trained on ImageNet.
    """

    path: Path
    state: Mapping[str, Tensor]
    notes: Mapping[str, Any]
    layout: Layout | None

    def key(self, own: str) -> str:
        """Name in the file of a tensor of ours."""
        assert self.layout is not None
        return self.layout.key(own)

    def tensor(self, key: str) -> Tensor:
        """A tensor by its name in the file.

        Raises:
            ValueError: if there is none.
        """
        if key not in self.state:
            raise UserError(
                f"{self.path}: lacks {key!r}; these are another network's weights, or not all of it"
            )
        return self.state[key]


def read_weights(path: str | Path) -> Weights:
    """Reads a checkpoint, a state dict, a safetensors file or a `.caffemodel`; it runs no code.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is truncated, or holds other things than tensors and plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a file of weights")
    if path.suffix == ".caffemodel":
        model = caffe.read(path)
        key = partial(caffe.key, bins=model.bins, auxiliary=model.auxiliary)
        layout = Layout("caffe", key, caffe.heads(model.auxiliary), "s")
        return Weights(path, model.state, {"caffe": model}, layout)
    content = _load(path)
    content = content if isinstance(content, dict) else {}
    state = content.get("state_dict", content)
    if not (isinstance(state, dict) and state and all(map(_named, state.items()))):
        raise UserError(f"{path}: not a readable weights file: no dictionary of tensors by name")
    notes = {} if state is content else {k: v for k, v in content.items() if k != "state_dict"}
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    recognized = _recognized(state)
    if recognized is PSPNET:  # the task around the network may have tensors of its own
        state = {key: value for key, value in state.items() if key.startswith("network.")}
    return Weights(path, state, notes, recognized)


def fit(
    own: Mapping[str, Tensor], weights: Weights, *, encoder_only: bool = False
) -> dict[str, Tensor]:
    """The tensors of a file under our names, each that `own` asks for and no other, as float32.

    Args:
        own: tensors of ours by name; only their shapes are looked at.
        weights: a file with a layout.
        encoder_only: whether `own` is the encoder alone, and the file's heads are left out.

    Raises:
        ValueError: naming the first tensor that is missing, too many, of another shape, or holds
            what `floats` refuses.
    """
    assert weights.layout is not None
    layout, path = weights.layout, weights.path
    network = "this encoder" if encoder_only else f"a PSPNet of {layout.name}"
    keys = {name: layout.key(name) for name in own}
    found = {
        name: weights.tensor(key)
        for name, key in keys.items()
        if key in weights.state or not name.endswith("num_batches_tracked")
    }
    known, left_out = set(keys.values()), layout.heads if encoder_only else ()
    foreign = [k for k in weights.state if k not in known and not k.startswith(left_out)]
    if foreign:
        raise UserError(f"{path}: holds {foreign[0]!r}, which {network} lacks; another network's")
    for name, value in found.items():
        if value.shape != own[name].shape:
            shapes = f"{tuple(value.shape)}, not {tuple(own[name].shape)}"
            line = f"{keys[name]!r} is {shapes} as in {network}; another network's"
            raise UserError(f"{path}: {line}")
        if own[name].is_floating_point():  # all but BN's counters
            found[name] = floats(value, key=keys[name], path=path)
    # files older than torch 0.4.1 have no such counters
    return {name: found.get(name, torch.zeros((), dtype=torch.long)) for name in own}


def floats(value: Tensor, *, key: str, path: Path) -> Tensor:
    """A tensor of a file as float32.

    Args:
        value: of any type and at least one element.
        key: its name; of one that ends in "running_var" the values must be 0 or more.
        path: the file.

    Raises:
        ValueError: if it is not dense and finite floats, naming file, key and what it holds.
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


def _recognized(state: Mapping[str, Tensor]) -> Layout | None:
    beginnings = {"layer0.": SEMSEG, "backbone.stem.": MMSEGMENTATION_V1C}
    beginnings |= {"backbone.": MMSEGMENTATION, "network.": PSPNET}
    for beginning, layout in beginnings.items():
        if any(key.startswith(beginning) for key in state):
            return layout
    return None


def _load(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with warnings.catch_warnings():  # of old pickles and rare tensors, which load or do not
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of safetensors, zipfile, pickle and torch: the file's fault
        first = str(error).strip().partition("\n")[0].partition(". ")[0] or type(error).__name__
        reason = f"{first}; fetch it again"
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            reason = f"it names {named[1]}, which could run code; give tensors and plain data alone"
        elif isinstance(error, UnpicklingError):
            reason = "no torch file, a damaged one, or one that could run code"
        raise UserError(f"{path}: not a readable weights file: {reason}") from error
