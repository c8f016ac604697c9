"""Dilated depthwise convolutions at the speed of plain ones on CPUs.

oneDNN, which computes torch's convolutions on CPUs, has fast code for depthwise convolutions with a
padding of 4 at most, and for the gradients of undilated ones; all others take 4 to 40 times as long
(docs/PERFORMANCE.md). The same sums are taken here from what it is fast at.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FAST_PADDING = 4  # the widest that was measured to be fast


class DilatedDepthwiseConv2d(nn.Conv2d):
    """A depthwise `nn.Conv2d` of stride 1 whose output has its input's size.

    Args:
        convolution: depthwise, of odd kernel; its parameters are shared.
        dilation: of both axes; the padding follows from it.

    Shapes: (N, C, H, W) in and out.
    """

    def __init__(self, convolution: nn.Conv2d, dilation: int) -> None:
        channels, kernel = convolution.in_channels, convolution.kernel_size
        super().__init__(
            channels,
            channels,
            kernel,  # type: ignore[arg-type]
            padding=tuple(dilation * (k // 2) for k in kernel),  # type: ignore[arg-type]
            dilation=dilation,
            groups=channels,
            bias=convolution.bias is not None,
            device="meta",
        )
        self.weight, self.bias = convolution.weight, convolution.bias
        self.training = convolution.training

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution's output (N, C, H, W) for an input (N, C, H, W)."""
        native = (
            x.device.type != "cpu"
            or x.dtype not in (torch.float32, torch.float64)
            or torch.is_autocast_enabled("cpu")
            or torch.compiler.is_compiling()
            or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        )
        if native:
            return super().forward(x)
        y: Tensor = _Convolution.apply(x, self.weight, self.dilation)
        return y if self.bias is None else y + self.bias[:, None, None]


def is_depthwise(module: nn.Module) -> bool:
    """Return whether a module is a convolution of each channel by itself."""
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return _same_size(x, weight, dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _same_size(gradient, weight.flip(2, 3), ctx.dilation)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(x, gradient, weight, ctx.dilation)
        return of_x, of_weight, None


def _same_size(x: Tensor, weight: Tensor, dilation: tuple[int, int]) -> Tensor:
    down, right = (d * (k // 2) for d, k in zip(dilation, weight.shape[2:], strict=True))
    padding = (down, right)
    if max(padding) > FAST_PADDING:
        x, padding = F.pad(x, (right, right, down, down)), (0, 0)
    return F.conv2d(x, weight, None, 1, padding, dilation, len(weight))


def _weight_gradient(
    x: Tensor, gradient: Tensor, weight: Tensor, dilation: tuple[int, int]
) -> Tensor:
    """Return the gradient (C, 1, k, k): for each of the k² taps a product, summed over pixels."""
    x, gradient = x.permute(0, 2, 3, 1), gradient.permute(0, 2, 3, 1)
    memory = torch.empty_like(gradient, memory_format=torch.contiguous_format).flatten()
    result = torch.zeros_like(weight)
    for row, column in product(*map(range, weight.shape[2:])):
        above, top = _overlap(x.shape[1], dilation[0] * (row - weight.shape[2] // 2))
        left, start = _overlap(x.shape[2], dilation[1] * (column - weight.shape[3] // 2))
        seen, answered = x[:, above, left], gradient[:, top, start]
        tap = memory[: seen.numel()].view(seen.shape)
        result[:, 0, row, column] = torch.mul(seen, answered, out=tap).sum((0, 1, 2))
    return result


def _overlap(size: int, shift: int) -> tuple[slice, slice]:
    """Return the parts of an input and of its output that a tap at distance `shift` connects."""
    length = max(size - abs(shift), 0)
    ahead, behind = max(shift, 0), max(-shift, 0)
    return slice(ahead, ahead + length), slice(behind, behind + length)
