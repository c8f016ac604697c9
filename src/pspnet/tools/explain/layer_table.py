"""The layers of a network as it stands: shapes, parameters, operations, receptive fields."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.flop_counter import FlopCounterMode

from pspnet.callbacks.costs import blank_image
from pspnet.models.pspnet import PSPNet
from pspnet.ops.equivalence import copy_without_memory
from pspnet.tools.explain.receptive_field import ReceptiveField, union
from pspnet.tools.explain.tracing.receptive_fields import ReceptiveFields

STAGES = 5


@dataclass(frozen=True)
class Layer:
    """One call of a module in a forward pass, without what its children do.

    Args:
        name: dotted name of the module; empty for the network itself.
        part: "stage 1" to "stage 5", "bin 1" (of the pyramid), …, "decoder", "auxiliary", or the
            name of another child of the network.
        kind: class of the module.
        shape: of its output without the batch: channels, height, width.
        parameters: number of its own, counted at its first call.
        flops: operations for one image; a multiplication and an addition are two.
        field: receptive field of its output.
        training_only: not called in evaluation mode.
        kernel: height and width of the kernel; None for what is neither a convolution nor a pool.
        stride: of the kernel.
        dilation: of the kernel.
    """

    name: str
    part: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    flops: int
    field: ReceptiveField
    training_only: bool
    kernel: tuple[int, int] | None = None
    stride: int = 1
    dilation: int = 1


@dataclass(frozen=True)
class Part:
    """The sums over the layers that the paper gives one name."""

    name: str
    convolutions: int
    dilations: tuple[int, ...]  # of the convolutions wider than 1×1, each once, in order
    shape: tuple[int, ...]  # of the last layer's output
    parameters: int
    flops: int
    field: ReceptiveField  # union over the layers of the last one's height and width
    training_only: bool


@dataclass
class _Call:
    """A module's call; `time` is the number of tensors that there were when it returned."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    field: ReceptiveField
    time: int
    flops: int


def trace_layers(
    network: PSPNet, *, size: tuple[int, int], training_only: bool = False
) -> list[Layer]:
    """Return every layer in the order of execution.

    The network runs in evaluation mode, hooks included, on a copy without memory: nothing is
    computed but shapes. Hooks on every module keep pyramid and decoder in the published form, with
    the decoder's input concatenated.

    Args:
        network: any; it is left as it is.
        size: height and width of the image.
        training_only: append the layers that run in training alone, as the auxiliary head's.
    """
    copy = copy_without_memory(network).eval()
    calls, ends = _record(copy, size)
    names = {call.name for call in calls}
    if training_only:
        copy.training = True  # the network's own flag: its layers stay in evaluation mode
        calls += [call for call in _record(copy, size)[0] if call.name not in names]
    counted: set[int] = set()
    return [
        _layer(call, _part_of(call, copy, ends), counted, training_only=call.name not in names)
        for call in calls
    ]


def parts_of(layers: Sequence[Layer]) -> list[Part]:
    """Return the layers summed up by part, in order."""
    names = list(dict.fromkeys(layer.part for layer in layers))
    return [_part(name, [layer for layer in layers if layer.part == name]) for name in names]


def growth(layers: Sequence[Layer]) -> list[float]:
    """Return the height of the encoder's receptive field by the number of wide layers passed.

    Wide are convolutions and pools wider than 1×1, counted along the longest path. Of parallel
    branches the largest receptive field counts, so that the values never decrease.
    """
    wide = [x for x in layers if x.part.startswith("stage") and x.kernel and max(x.kernel) > 1]
    depths = range(1, max((x.field.depth for x in wide), default=0) + 1)
    return [max(x.field.size[0] for x in wide if x.field.depth <= depth) for depth in depths]


def to_csv(layers: Sequence[Layer]) -> str:
    """Return one line per layer; "whole" stands for a receptive field of the whole image."""
    out = StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(
        (
            *("part", "layer", "kind", "channels", "height", "width", "kernel", "stride"),
            *("dilation", "parameters", "flops", "field_height", "field_width"),
        )
    )
    for layer in layers:
        field = [f"{side:g}" if side < float("inf") else "whole" for side in layer.field.size]
        kernel = "×".join(str(side) for side in layer.kernel) if layer.kernel else ""
        wide = (kernel, layer.stride, layer.dilation) if kernel else ("", "", "")
        shape = (*layer.shape, "", "")[:3]
        counts = (layer.parameters, layer.flops)
        table.writerow((layer.part, layer.name, layer.kind, *shape, *wide, *counts, *field))
    return out.getvalue()


def stage_features(output: object) -> dict[str, Tensor]:
    """Return the feature maps of an encoder's output by name, the last one as "stage 5".

    Args:
        output: a list of maps; anything else has no stages.
    """
    if not isinstance(output, list | tuple):
        return {}
    maps = [feature for feature in output if isinstance(feature, Tensor)][-STAGES:]
    return {f"stage {k}": x for k, x in enumerate(maps, start=STAGES + 1 - len(maps))}


def _record(network: nn.Module, size: tuple[int, int]) -> tuple[list[_Call], dict[str, int]]:
    """Run the network on "meta"; return all calls, and when each stage's features were complete."""
    calls: list[_Call] = []
    ends: dict[str, int] = {}
    running: list[list[int]] = []  # operations before each call under way, and within its children
    image = blank_image(network, size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter, ReceptiveFields(image) as seen:

        def enter(module: nn.Module, inputs: object) -> None:
            running.append([counter.get_total_flops(), 0])

        def leave(module: nn.Module, inputs: object, output: object) -> None:
            before, within = running.pop()
            flops = counter.get_total_flops() - before
            if running:
                running[-1][1] += flops
            tensors = output if isinstance(output, list | tuple) else [output]
            tensor = tensors[-1] if tensors else None
            field = seen.of(tensor) if isinstance(tensor, Tensor) else None
            if isinstance(tensor, Tensor) and field is not None:
                shape, own = tuple(tensor.shape[1:]), flops - within
                calls.append(_Call(names[module], module, shape, field, seen.count, own))
            if names[module] == "encoder":
                ends.update({name: seen.order(x) for name, x in stage_features(output).items()})

        names = {module: name for name, module in network.named_modules()}
        hooks = [module.register_forward_pre_hook(enter, prepend=True) for module in names]
        hooks += [module.register_forward_hook(leave) for module in names]
        network(image)
        for hook in hooks:
            hook.remove()
    return [call for call in calls if _is_layer(call)], ends


def _is_layer(call: _Call) -> bool:
    module = call.module  # blocks may have parameters of their own, as the scales of ConvNeXt's
    return not [*module.children()] or call.flops > 0 or bool([*module.parameters(recurse=False)])


def _layer(call: _Call, part: str, counted: set[int], *, training_only: bool) -> Layer:
    """Return the layer of a call; `counted` are the parameters of the layers before."""
    module = call.module
    owned = [*module.parameters(recurse=False)]
    if parametrize.is_parametrized(module):
        owned += module.parametrizations.parameters()  # type: ignore[union-attr]
    own = [parameter for parameter in owned if id(parameter) not in counted]
    counted.update(id(parameter) for parameter in own)
    layer = Layer(
        name=call.name,
        part=part,
        kind=type(module).__name__,
        shape=call.shape,
        parameters=sum(parameter.numel() for parameter in own),
        flops=call.flops,
        field=call.field,
        training_only=training_only,
    )
    if not isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        return layer
    kernel, stride = _sides(module.kernel_size), _sides(module.stride)
    dilation = _sides(1 if isinstance(module, nn.AvgPool2d) else module.dilation)
    return replace(layer, kernel=kernel, stride=stride[0], dilation=dilation[0])


def _sides(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _part_of(call: _Call, network: PSPNet, ends: dict[str, int]) -> str:
    top, *rest = call.name.split(".")
    if top == "encoder" and ends:  # what precedes the first map of a size belongs to its stage
        return next((name for name, end in ends.items() if call.time <= end), [*ends][-1])
    if top == "pyramid" and rest[:1] == ["levels"] and hasattr(network.pyramid, "bins"):
        return f"bin {network.pyramid.bins[int(rest[1])]}"
    return top or "network"


def _units(shape: tuple[int, ...]) -> tuple[int, int] | None:
    return (shape[1], shape[2]) if len(shape) == 3 else None


def _part(name: str, layers: list[Layer]) -> Part:
    convolutions = [layer for layer in layers if "Conv" in layer.kind]
    wide = [layer for layer in convolutions if layer.kernel and max(layer.kernel) > 1]
    shape = layers[-1].shape
    return Part(
        name=name,
        convolutions=len(convolutions),
        dilations=tuple(dict.fromkeys(layer.dilation for layer in wide)),
        shape=shape,
        parameters=sum(layer.parameters for layer in layers),
        flops=sum(layer.flops for layer in layers),
        field=union([x.field for x in layers if x.shape[1:] == shape[1:]], _units(shape)),
        training_only=all(layer.training_only for layer in layers),
    )
