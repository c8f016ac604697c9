"""Dilation layouts: stages 4 and 5 of an ImageNet network lose their stride and are dilated.

The layout is read off one traced forward pass rather than off names, so that it means the same
for every encoder: a layer whose output the plain network has at 1/16 of the image belongs to
stage 4, at 1/32 to stage 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from pspnet.errors import UserError
from pspnet.models.dilated_layers import dense_pool, dilate_convolution, gains, widen
from pspnet.ops.dilated_depthwise import DilatedDepthwiseConv2d

LARGEST = 128  # the padding grows with it
TRACE_SIZE = 128  # a multiple of 32, small enough to cost little


@dataclass(frozen=True)
class Dilation:
    """The dilation of each block of stages 4 and 5; the output stride follows from it.

    A stage's values are taken by its blocks in turn and start over when they run out:
    `(2,)` gives every block 2, `(4, 8, 16)` is the multi-grid 1, 2, 4 on a dilation of 4, and
    `(1, 2, 5, 9)` a hybrid layout. `(1,)` leaves the stage as it is, stride and all; every other
    value, `(1, 1)` too, takes the stride away.

    Args:
        stage4: dilations of the blocks at 1/16 of the image in the plain network.
        stage5: dilations of the blocks at 1/32.
        first_block: whether the convolution that had the stride takes its block's dilation
            ("full": semseg, the Caffe release) or half of it ("half": timm, mmsegmentation's
            `contract_dilation`), with which every output that the plain network has too is equal.
        convolutions: whether all wide convolutions of a block are dilated, or the first alone, as
            in mmsegmentation's ResNet-18.
        stride_in_1x1: whether blocks that keep their stride have it on the 1×1 convolution before
            the 3×3, as in the Caffe release's PSPNet50, in place of the 3×3 itself.
        keep_strides: whether both stages keep their strides and are dilated all the same, as in
            mmsegmentation's D32. Strided layers that are no plain convolution of odd kernel, such
            as pools, stay as they are.
        average_pools: whether an average pool that had the stride averages around every pixel
            ("dense") or is left out ("none", as in mmsegmentation's ResNeSt).

    Raises:
        UserError: for an empty stage, a dilation below 1, or a strided stage 5 after a dilated 4.
    """

    stage4: tuple[int, ...] = (2,)
    stage5: tuple[int, ...] = (4,)
    first_block: Literal["full", "half"] = "full"
    convolutions: Literal["all", "first"] = "all"
    stride_in_1x1: bool = False
    keep_strides: bool = False
    average_pools: Literal["dense", "none"] = "dense"

    def __post_init__(self) -> None:
        for stage, values in (("stage4", self.stage4), ("stage5", self.stage5)):
            if not values or not 1 <= min(values) <= max(values) <= LARGEST:
                raise UserError(
                    f"dilation.{stage}={list(values)}: give one dilation or more, 1 to {LARGEST}"
                )
        if self.stage4 != (1,) and self.stage5 == (1,) and not self.keep_strides:
            raise UserError(
                f"dilation.stage4={list(self.stage4)} with dilation.stage5=[1]: a stage 5 that "
                "keeps its stride undoes a dilated stage 4; dilate stage 5 too, or set stage4=[1]"
            )

    @property
    def output_stride(self) -> int:
        """The ratio of image to feature size: 8, 16 or 32."""
        if self.keep_strides:
            return 32
        return 32 >> ((self.stage4 != (1,)) + (self.stage5 != (1,)))

    def values(self, level: int) -> tuple[int, ...]:
        """Return the dilations of the stage whose plain output is 1/`level` of the image."""
        return {16: self.stage4, 32: self.stage5}.get(level, (1,))


@dataclass(frozen=True)
class _Step:
    """One layer in the order of execution, with the reduction of its input and output."""

    name: str
    layer: nn.Module
    before: float
    after: float


def dilate(encoder: nn.Module, dilation: Dilation) -> None:
    """Set strides, dilations and paddings of `encoder` to the layout, in place.

    Args:
        encoder: a plain network of output stride 32 that returns its features as a list.
        dilation: the layout.

    Raises:
        UserError: for `stride_in_1x1` where there is no such stride to move.
    """
    steps = trace(encoder)
    for level in (16, 32):
        if dilation.values(level) != (1,):
            stage = [step for step in steps if step.after == level]
            _dilate_stage(encoder, stage, dilation=dilation, level=level)
    if dilation.stride_in_1x1:
        _move_strides(encoder)


def check_strides(steps: list[_Step], dilation: Dilation) -> None:
    """Check that no layer of a dilated encoder halves its input beyond the layout's stride.

    Raises:
        UserError: if something in the network halves its input in another way than by a stride.
    """
    for step in steps:
        if step.before < step.after and dilation.output_stride < step.after <= 32:
            raise UserError(
                f"{step.name} ({type(step.layer).__name__}) halves its input in a way "
                "that has no stride to take away"
            )


def trace(encoder: nn.Module) -> list[_Step]:
    """Run one image through `encoder` and return its leaf layers that keep (N, C, H, W)."""
    with torch.no_grad(), recording(encoder, TRACE_SIZE) as steps:
        encoder(blank(encoder, TRACE_SIZE, TRACE_SIZE))
    return steps


@contextmanager
def recording(encoder: nn.Module, height: int) -> Iterator[list[_Step]]:
    """Yield a list that is filled with the leaf layers that run, for images of `height`.

    The encoder is in evaluation mode meanwhile. Reductions are those of the height.
    """
    steps: list[_Step] = []

    def record(name: str, layer: nn.Module, args: tuple[object, ...], output: object) -> None:
        if all(isinstance(x, Tensor) and x.ndim == 4 for x in (args[0], output)):
            before, after = (height / x.shape[-2] for x in (args[0], output))  # type: ignore[attr-defined]
            steps.append(_Step(name, layer, before, after))

    hooks = [
        layer.register_forward_hook(
            lambda layer, args, output, name=name: record(name, layer, args, output)
        )
        for name, layer in encoder.named_modules()
        if not list(layer.children()) or isinstance(layer, nn.Conv2d)
    ]
    training = encoder.training
    encoder.eval()
    try:
        yield steps
    finally:
        encoder.train(training)
        for hook in hooks:
            hook.remove()


def layers_of_stages(encoder: nn.Module, count: int) -> list[str]:
    """Return the names of the layers of the first `count` stages of a plain network.

    Stage s ends at 1/2^s of the image: 1 is the stem, 5 the last. Blocks with parameters of their
    own (ConvNeXt's scales) belong to a stage with all of their layers.
    """
    if not count:
        return []
    steps = trace(encoder)
    names = {step.name for step in steps if step.after <= 2**count}
    later = {step.name for step in steps} - names
    for block, module in encoder.named_modules():
        inside = f"{block}." if block else ""
        own = any(True for _ in module.parameters(recurse=False))
        if own and block not in later and not any(name.startswith(inside) for name in later):
            names.add(block)
    return sorted(names)


def blank(encoder: nn.Module, height: int, width: int) -> Tensor:
    """Return a black image (1, C, height, width) on the encoder's device."""
    device = next(encoder.parameters()).device
    return torch.zeros(1, input_channels(encoder), height, width, device=device)


def input_channels(network: nn.Module) -> int:
    """Return the channels of the first convolution's input; 3 without any convolution."""
    layers = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    return next((layer.in_channels for layer in layers), 3)


def _dilate_stage(
    encoder: nn.Module, stage: list[_Step], *, dilation: Dilation, level: int
) -> None:
    values = dilation.values(level)
    seen: set[int] = set()  # blocks of which a wide convolution has come
    for step, block in zip(stage, _blocks(encoder, stage), strict=True):
        had_stride = step.before < step.after
        value = values[block % len(values)]
        if _is_wide(step.layer):
            if block in seen and dilation.convolutions == "first":
                value = 1
            seen.add(block)
        if had_stride and dilation.first_block == "half":
            value = max(1, value // 2)
        if had_stride and dilation.keep_strides:
            widen(step.layer, value)
        elif isinstance(step.layer, nn.Conv2d):
            dilate_convolution(step.layer, value)
            if gains(step.layer):
                encoder.set_submodule(step.name, DilatedDepthwiseConv2d(step.layer, value))
        elif isinstance(step.layer, nn.AvgPool2d) and dilation.average_pools == "none":
            if had_stride:
                encoder.set_submodule(step.name, nn.Identity())
        elif had_stride and isinstance(step.layer, nn.MaxPool2d | nn.AvgPool2d):
            # a pool has no kernel to widen: it keeps the neighbors it had
            spacing = int(step.before) // dilation.output_stride
            encoder.set_submodule(step.name, dense_pool(step.layer, spacing))


def _blocks(encoder: nn.Module, stage: list[_Step]) -> Iterator[int]:
    """Yield the number of the block within the stage that each step is in.

    A block is the module that holds a wide convolution; in a plain sequence (VGG) each
    convolution is a block of its own.
    """
    seen: list[str] = []
    for step in stage:
        if _is_wide(step.layer):
            parent = step.name.rpartition(".")[0]
            alone = type(encoder.get_submodule(parent)) is nn.Sequential
            block = step.name if alone else parent
            if block not in seen:
                seen.append(block)
        yield max(len(seen) - 1, 0)


def _is_wide(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and max(layer.kernel_size) > 1


def _move_strides(encoder: nn.Module) -> None:
    """Move the stride of each 3×3 convolution that follows a 1×1 in its block onto that one."""
    steps = [step for step in trace(encoder) if isinstance(step.layer, nn.Conv2d)]
    moved = False
    for first, second in pairwise(steps):
        narrow, wide = first.layer, second.layer
        assert isinstance(narrow, nn.Conv2d)
        assert isinstance(wide, nn.Conv2d)
        beside = first.name.rpartition(".")[0] == second.name.rpartition(".")[0]
        if beside and not _is_wide(narrow) and _is_wide(wide) and wide.stride != (1, 1):
            narrow.stride, wide.stride, moved = wide.stride, (1, 1), True
    if not moved:
        raise UserError("it has no 1×1 convolution before a strided 3×3; set stride_in_1x1=false")
