"""Layers whose stride has been taken away, and that are dilated instead."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pspnet.ops.dilated_depthwise import is_depthwise
from pspnet.ops.equivalence import why_not_plain


def dilate_convolution(layer: nn.Conv2d, value: int) -> None:
    """Take the stride of a convolution away and dilate it, in place; the size stays its input's."""
    layer.stride = (1, 1)
    if max(layer.kernel_size) == 1:
        return
    layer.dilation = (value, value)
    if hasattr(layer, "static_padding"):
        layer.static_padding = nn.Identity()  # smp's EfficientNet pads in a layer of its own
    elif type(layer).forward is not nn.Conv2d.forward and layer.padding == (0, 0):
        return  # pads by itself to the size that its stride asks for (timm's `Conv2dSame`)
    if any(k % 2 == 0 for k in layer.kernel_size):
        layer.padding = "same"
    else:
        layer.padding = tuple(value * (k - 1) // 2 for k in layer.kernel_size)


def widen(layer: nn.Module, value: int) -> None:
    """Dilate a layer that keeps its stride, if it is a plain convolution of odd kernel."""
    if type(layer) is nn.Conv2d and all(k % 2 for k in layer.kernel_size):
        layer.dilation = (value, value)
        layer.padding = tuple(value * (k - 1) // 2 for k in layer.kernel_size)


def dense_pool(pool: nn.MaxPool2d | nn.AvgPool2d, spacing: int) -> nn.Module:
    """Return a pool of stride 1 over the neighbors that a strided one had, `spacing` apart."""
    kernel, padding = _single(pool.kernel_size), _single(pool.padding)
    if isinstance(pool, nn.AvgPool2d):
        # torch's average pool cannot be dilated; the repeated border keeps the mean that of pixels
        return nn.Sequential(_Border(kernel - 1), nn.AvgPool2d(kernel, stride=1))
    before, after = padding * spacing, (kernel - 1 - padding) * spacing
    return nn.Sequential(
        nn.ConstantPad2d((before, after, before, after), float("-inf")),
        nn.MaxPool2d(kernel, stride=1, dilation=spacing),
    )


class _Border(nn.Module):
    """Repeat the last row and column; what `nn.ReplicationPad2d` gives, whose gradient
    `torch.compile` (2.15) expects in another memory layout than it has for channels-last maps.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, *[x[:, :, -1:]] * self.width], 2)
        return torch.cat([x, *[x[:, :, :, -1:]] * self.width], 3)


def _single(value: int | tuple[int, ...]) -> int:
    return value if isinstance(value, int) else value[0]


def gains(layer: nn.Conv2d) -> bool:
    """Tell whether a dilated layer may be a `DilatedDepthwiseConv2d`; nobody's own class may."""
    from segmentation_models_pytorch.encoders._efficientnet import Conv2dStaticSamePadding
    from timm.layers.conv2d_same import Conv2dSame

    plain = why_not_plain(layer, nn.Conv2d, Conv2dSame, Conv2dStaticSamePadding) is None
    odd = all(k % 2 for k in layer.kernel_size)
    dilated = max(layer.dilation) > 1 and layer.padding_mode == "zeros"
    alone = is_depthwise(layer) and layer.in_channels == layer.out_channels
    return plain and alone and odd and dilated
