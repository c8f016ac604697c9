"""The layers of a network for an image of one size: shapes, parameters, operations, reach."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pspnet.models.pspnet import PSPNet
from pspnet.tools.explain.reach import Field, Reaches

ROOT = "PSPNet"  # under which torch's counter names the modules


@dataclass(frozen=True)
class Layer:
    """A module as it came in a forward pass, what its children do left out.

    Args:
        name: of the module.
        part: "stage 1" to "stage 5", "bin 1" (of the pyramid), …, "decoder" or "auxiliary".
        kind: its class.
        shape: of its output without the batch: channels, height, width.
        parameters: number of its own.
        flops: operations of one image; a multiplication and an addition are two.
        field: what a unit of its output can see.
        kernel: sides of its kernel; None for what is neither a convolution nor a pool.
        stride: of the kernel.
        dilation: of the kernel.
    """

    name: str
    part: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    flops: int
    field: Field
    kernel: tuple[int, int] | None = None
    stride: int = 1
    dilation: int = 1

    @property
    def receptive_field(self) -> tuple[float, float]:
        """Height and width in pixels of what a unit can see; infinite for the whole image."""
        return self.field[0].side, self.field[1].side


@dataclass(frozen=True)
class Part:
    """Consecutive layers that the paper gives one name."""

    name: str
    convolutions: int
    dilations: tuple[int, ...]  # of the convolutions wider than 1×1, each once, in order
    shape: tuple[int, ...]
    parameters: int
    flops: int
    receptive_field: tuple[float, float]


@dataclass
class _Call:
    """A module's call, with the number of tensors that there were when it returned."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    field: Field
    time: int


def trace_layers(network: PSPNet, *, size: tuple[int, int]) -> list[Layer]:
    """Every layer in the order of execution, the auxiliary head's after the encoder's.

    Run in evaluation mode on a copy without memory: nothing is computed but shapes. The decoder is
    counted as published, with its input concatenated.

    Args:
        network: any.
        size: height and width of the image.
    """
    hollow = deepcopy(network).to("meta").eval()
    hollow.concatenate = True
    image = torch.zeros(1, 3, *size, device="meta")
    calls: list[_Call] = []
    with torch.no_grad(), FlopCounterMode(display=False) as counter, Reaches(image) as reaches:
        for name, module in hollow.named_modules():
            # blocks may have parameters of their own, as the scales of ConvNeXt's
            if not list(module.children()) or list(module.parameters(recurse=False)):
                module.register_forward_hook(_recorder(name, calls, reaches))
        features: list[Tensor] = []
        hollow.encoder.register_forward_hook(lambda _, __, output: features.extend(output))
        if hollow.auxiliary is not None:  # which the network itself runs while training alone
            head = hollow.auxiliary
            hollow.encoder.register_forward_hook(lambda _, __, output: _run(head, output[-2]))
        hollow(image)
    ends = [reaches.order(feature) for feature in features[1:]]
    first = {call.name: call for call in reversed(calls)}
    operations = {name: _own_flops(name, counter, call.module) for name, call in first.items()}
    return [
        # a module that is called again, as one ReLU for a whole block, is counted once
        _layer(call, _part_of(call, hollow, ends), operations if first[call.name] is call else {})
        for call in calls
    ]


def parts(layers: Sequence[Layer]) -> list[Part]:
    """The layers summed up by part, in order."""
    names = list(dict.fromkeys(layer.part for layer in layers))
    return [_part(name, [layer for layer in layers if layer.part == name]) for name in names]


def to_csv(layers: Sequence[Layer]) -> str:
    """A line a layer; sizes in pixels, "whole" where the receptive field is the whole image."""
    out = StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(
        (
            *("part", "layer", "kind", "channels", "height", "width", "kernel", "stride"),
            *("dilation", "parameters", "flops", "field_height", "field_width"),
        )
    )
    for layer in layers:
        field = [f"{side:g}" if side < float("inf") else "whole" for side in layer.receptive_field]
        kernel = "×".join(str(side) for side in layer.kernel) if layer.kernel else ""
        wide = (kernel, layer.stride, layer.dilation) if kernel else ("", "", "")
        counts = (layer.parameters, layer.flops)
        table.writerow((layer.part, layer.name, layer.kind, *layer.shape, *wide, *counts, *field))
    return out.getvalue()


def _recorder(name: str, calls: list[_Call], reaches: Reaches) -> Callable[..., None]:
    def record(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor):
            field = reaches.of(output)
            calls.append(_Call(name, module, tuple(output.shape[1:]), field, reaches.count))

    return record


def _run(head: nn.Module, features: Tensor) -> None:
    head(features)


def _own_flops(name: str, counter: FlopCounterMode, module: nn.Module) -> int:
    counts = {key: sum(ops.values()) for key, ops in counter.get_flop_counts().items()}
    within = sum(counts.get(f"{ROOT}.{name}.{child}", 0) for child, _ in module.named_children())
    return int(counts.get(f"{ROOT}.{name}", 0) - within)


def _layer(call: _Call, part: str, operations: dict[str, int]) -> Layer:
    """The layer of a call; `operations` by module, empty if the module was called before."""
    module = call.module
    own = sum(p.numel() for p in module.parameters(recurse=False)) if operations else 0
    layer = Layer(
        name=call.name,
        part=part,
        kind=type(module).__name__,
        shape=call.shape,
        parameters=own,
        flops=operations.get(call.name, 0),
        field=call.field,
    )
    if not isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        return layer
    kernel, stride = _sides(module.kernel_size), _sides(module.stride)
    dilation = _sides(1 if isinstance(module, nn.AvgPool2d) else module.dilation)
    return replace(layer, kernel=kernel, stride=stride[0], dilation=dilation[0])


def _sides(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _part_of(call: _Call, network: PSPNet, ends: list[int]) -> str:
    top, *rest = call.name.split(".")
    if top == "pyramid":
        return f"bin {network.pyramid.bins[int(rest[1])]}"
    if top != "encoder":
        return top
    # what comes before the first feature map of a size belongs to its stage
    stage = next((k for k, end in enumerate(ends, start=1) if call.time <= end), len(ends))
    return f"stage {stage}"


def _part(name: str, layers: list[Layer]) -> Part:
    convolutions = [layer for layer in layers if "Conv" in layer.kind]
    wide = [layer for layer in convolutions if layer.kernel and max(layer.kernel) > 1]
    return Part(
        name=name,
        convolutions=len(convolutions),
        dilations=tuple(dict.fromkeys(layer.dilation for layer in wide)),
        shape=layers[-1].shape,
        parameters=sum(layer.parameters for layer in layers),
        flops=sum(layer.flops for layer in layers),
        receptive_field=layers[-1].receptive_field,
    )
