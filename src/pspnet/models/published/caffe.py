"""Reader of the authors' Caffe release, the `.caffemodel` files of hszhao/PSPNet, without Caffe.

Only the fields that the weights need are defined here, by their numbers in the release's
caffe.proto; protobuf skips all others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import DecodeError
from torch import Tensor

from pspnet.errors import UserError
from pspnet.models.dilation import Dilation

# RGB, 0 to 255 as in the release's evaluation code; it subtracts them and does not scale
MEAN = (123.68, 116.779, 103.939)

# name, number, and type of each field; "*" marks repeated fields
_MESSAGES = {
    "NetParameter": [("layers", 2, "bytes*"), ("layer", 100, "LayerParameter*")],
    "LayerParameter": [
        *(("name", 1, "string"), ("blobs", 7, "BlobProto*")),
        ("convolution_param", 106, "ConvolutionParameter"),
    ],
    "ConvolutionParameter": [("stride", 6, "uint32"), ("hole", 17, "uint32")],
    # packed floats as bytes, which need not go through a Python list
    "BlobProto": [
        *(("shape", 7, "BlobShape"), ("data", 5, "bytes*"), ("num", 1, "int32")),
        *(("channels", 2, "int32"), ("height", 3, "int32"), ("width", 4, "int32")),
    ],
    "BlobShape": [("dim", 1, "int64*")],
}
_BLOBS = {
    1: ("weight",),
    2: ("weight", "bias"),
    4: ("weight", "bias", "running_mean", "running_var"),  # slope, bias, mean, variance
}
_FIRST = "conv1_1_3x3_s2"
_FIXED = {
    **{"conv1.0": _FIRST, "conv1.1": f"{_FIRST}/bn", "conv1.3": "conv1_2_3x3"},
    **{"conv1.4": "conv1_2_3x3/bn", "conv1.6": "conv1_3_3x3", "bn1": "conv1_3_3x3/bn"},
    **{"decoder.0": "conv5_4", "decoder.1": "conv5_4/bn", "decoder.4": "conv6"},
    "auxiliary.4": "conv6_1",
}
_PLACES = {
    **{"conv1": "1x1_reduce", "bn1": "1x1_reduce/bn", "conv2": "3x3", "bn2": "3x3/bn"},
    **{"conv3": "1x1_increase", "bn3": "1x1_increase/bn"},
    **{"downsample.0": "1x1_proj", "downsample.1": "1x1_proj/bn"},
}


@dataclass(frozen=True)
class CaffeModel:
    """The tensors of a `.caffemodel`, with their channels in the order of this package's network.

    Args:
        state: by "LAYER.weight", "LAYER.bias", "LAYER/bn.running_mean", …; the first convolution
            takes RGB, and the one after the pyramid takes the levels with ascending bins.
        bins: of the pyramid, ascending.
        auxiliary: name of the auxiliary head's 3×3 convolution, even if the file lacks it.
        dilation: read from the parameters of the file's convolutions.
    """

    state: dict[str, Tensor]
    bins: tuple[int, ...]
    auxiliary: str
    dilation: Dilation


def read(path: Path) -> CaffeModel:
    """Read a `.caffemodel` of the release.

    Its BN adds 1e-5 to the variance on a GPU (cuDNN) and 1e-10 on a CPU; torch's BN, which takes
    the tensors, adds 1e-5. Its pools have kernels fixed for one crop size, at which they equal the
    adaptive pooling of this package.

    Raises:
        UserError: if the file is no `.caffemodel`, is truncated or of Caffe's first format, or
            has strides or dilations that the release lacks.
    """
    net = _message_class()()
    try:
        net.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise UserError(f"{path}: not a readable .caffemodel, or a truncated one") from error
    if not all(isinstance(layer.name, str) for layer in net.layer):  # protobuf: bytes if not UTF-8
        raise UserError(f"{path}: not a readable .caffemodel: a layer's name is not UTF-8")
    if net.layers:
        raise UserError(
            f"{path}: is in Caffe's first format (V1LayerParameter); convert it with Caffe's "
            "upgrade_net_proto_binary"
        )
    state = {key: value for layer in net.layer for key, value in _tensors(layer, path)}
    if not state:
        raise UserError(f"{path}: not a readable .caffemodel: no layer has weights")
    pools = [re.match(r"conv5_3_pool(\d+)_conv", key) for key in state]
    bins = tuple(sorted({int(match[1]) for match in pools if match}))
    blocks = [re.match(r"conv4_(\d+)_", key) for key in state]
    last = max((int(match[1]) for match in blocks if match), default=0)
    _reorder(state, bins)
    return CaffeModel(state, bins, f"conv4_{last + 1}", _dilation(net, path))


def key(own: str, *, bins: tuple[int, ...], auxiliary: str) -> str:
    """Return the release's name of this package's tensor `own`: "conv2_1_3x3/bn.running_mean"."""
    module, _, part = own.removeprefix("encoder.").removeprefix("model.").rpartition(".")
    if block := re.fullmatch(r"layer(\d)\.(\d+)\.(.+)", module):
        place = _PLACES.get(block[3], block[3])
        return f"conv{int(block[1]) + 1}_{int(block[2]) + 1}_{place}.{part}"
    if level := re.fullmatch(r"pyramid\.levels\.(\d+)\.([01])", module):
        suffix = "/bn" if level[2] == "1" else ""
        return f"conv5_3_pool{bins[int(level[1])]}_conv{suffix}.{part}"
    heads = {"auxiliary.0": auxiliary, "auxiliary.1": f"{auxiliary}/bn"}
    return f"{heads.get(module) or _FIXED.get(module, module)}.{part}"


def heads(auxiliary: str) -> tuple[str, ...]:
    """Return the beginnings of the names that are not the encoder's."""
    return ("conv5_3_pool", "conv5_4", "conv6", f"{auxiliary}.", f"{auxiliary}/")


def _message_class() -> Any:
    file = FileDescriptorProto(name="caffemodel.proto", package="caffemodel", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            label = "LABEL_REPEATED" if kind.endswith("*") else "LABEL_OPTIONAL"
            added = message.field.add(
                name=field, number=number, label=FieldDescriptorProto.Label.Value(label)
            )
            if kind.rstrip("*") in _MESSAGES:
                added.type_name = kind.rstrip("*")
            else:
                added.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.rstrip('*').upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffemodel.NetParameter"))


def _tensors(layer: Any, path: Path) -> Iterator[tuple[str, Tensor]]:
    if layer.blobs and len(layer.blobs) not in _BLOBS:
        raise UserError(f"{path}: layer {layer.name!r} has {len(layer.blobs)} blobs, not 1, 2, 4")
    for blob, part in zip(layer.blobs, _BLOBS.get(len(layer.blobs), ()), strict=True):
        legacy = (blob.num, blob.channels, blob.height, blob.width)
        sides = tuple(blob.shape.dim) if blob.HasField("shape") else legacy
        data = bytearray(b"".join(blob.data))
        if not data or min(sides, default=0) < 1 or len(data) != 4 * math.prod(sides):
            shape = "×".join(str(side) for side in sides)
            raise UserError(
                f"{path}: {part} of layer {layer.name!r} is {shape}, and has {len(data) // 4} "
                "numbers; a damaged file"
            )
        values = torch.frombuffer(data, dtype=torch.float32)
        convolution = part == "weight" and len(layer.blobs) < 4
        yield f"{layer.name}.{part}", values.reshape(sides) if convolution else values


def _reorder(state: dict[str, Tensor], bins: tuple[int, ...]) -> None:
    """Reorder input channels: of the first convolution to RGB, of `conv5_4` to bins 1, 2, 3, 6."""
    first = state.get(f"{_FIRST}.weight")
    if first is not None and first.ndim == 4:
        state[f"{_FIRST}.weight"] = first.flip(1)
    levels = [state.get(f"conv5_3_pool{side}_conv.weight") for side in reversed(bins)]
    widths = [len(level) for level in levels if level is not None]
    fusion = state.get("conv5_4.weight")
    if fusion is not None and fusion.ndim == 4 and fusion.shape[1] > sum(widths):
        features, *parts = torch.split(fusion, [fusion.shape[1] - sum(widths), *widths], dim=1)
        state["conv5_4.weight"] = torch.cat([features, *reversed(parts)], dim=1)


def _dilation(net: Any, path: Path) -> Dilation:
    convolutions = {layer.name: layer.convolution_param for layer in net.layer}
    for name, convolution in convolutions.items():
        stage = re.fullmatch(r"conv([45])_\d+_3x3", name)
        hole = {"4": 2, "5": 4}[stage[1]] if stage else 1
        if convolution.HasField("hole") and convolution.hole != hole:
            raise UserError(f"{path}: {name} is dilated by {convolution.hole}, not {hole}")
    strided = [
        name
        for name, convolution in convolutions.items()
        if convolution.stride > 1 and re.fullmatch(r"conv\d_\d+_(1x1_reduce|3x3)", name)
    ]
    if strided not in (["conv3_1_1x1_reduce"], ["conv3_1_3x3"]):
        raise UserError(
            f"{path}: the convolutions of stride 2 are {strided}; the release has one, "
            "conv3_1_1x1_reduce or conv3_1_3x3"
        )
    return Dilation(stride_in_1x1=strided == ["conv3_1_1x1_reduce"])
