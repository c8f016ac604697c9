"""TensorFlow's "same" padding for images of any size: timm computes it from the size in Python."""

from __future__ import annotations

import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from pspnet.ops.equivalence import why_not_plain


class SameConv2d(nn.Module):
    """A timm `Conv2dSame`, with its padding as an expression that holds for every size."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        own = self.convolution
        height, width = (
            self._total(side, axis) for axis, side in enumerate((x.shape[2], x.shape[3]))
        )
        around = (width // 2, width - width // 2, height // 2, height - height // 2)
        return F.conv2d(
            F.pad(x, around), own.weight, own.bias, own.stride, 0, own.dilation, own.groups
        )

    def _total(self, side: int, axis: int) -> int:
        own = self.convolution
        reach = own.dilation[axis] * (own.kernel_size[axis] - 1)
        return reach - (side - 1) % own.stride[axis]


def replace_same_padding(network: nn.Module) -> None:
    """Replace the plain `Conv2dSame` layers whose kernel is as wide as their stride, in place."""
    for name, module in [*network.named_modules()]:
        if why_not_plain(module, Conv2dSame) is None and _always_pads(module):
            network.set_submodule(name, SameConv2d(module))


def _always_pads(convolution: nn.Module) -> bool:
    assert isinstance(convolution, nn.Conv2d)
    pairs = zip(convolution.kernel_size, convolution.stride, strict=True)
    return all(kernel >= stride for kernel, stride in pairs)
