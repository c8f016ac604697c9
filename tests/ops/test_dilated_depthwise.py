"""Dilated depthwise convolutions of CPUs against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pspnet.inference.network_copy import fold
from pspnet.models.dilation import Dilation, dilate
from pspnet.models.pspnet import PSPNet
from pspnet.ops.dilated_depthwise import DilatedDepthwiseConv2d

FORMATS = [torch.contiguous_format, torch.channels_last]


def layer(kernel: int, dilation: int, *, bias: bool = False) -> DilatedDepthwiseConv2d:
    plain = nn.Conv2d(6, 6, kernel, padding=kernel // 2, groups=6, bias=bias, dtype=torch.double)
    return DilatedDepthwiseConv2d(plain, dilation)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("size", [(17, 21), (5, 3), (1, 1)], ids=str)
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 2), (3, 4), (3, 8), (5, 2), (5, 4), (7, 3)])
def test_output_and_gradients_are_those_of_torch(
    kernel: int, dilation: int, size: tuple[int, int], memory_format: torch.memory_format
) -> None:
    torch.manual_seed(0)
    own = layer(kernel, dilation, bias=True)
    x = torch.randn(2, 6, *size, dtype=torch.double).contiguous(memory_format=memory_format)
    seen = torch.randn_like(x)

    def results(forward: object) -> list[Tensor]:
        image = x.clone().requires_grad_()
        y = forward(image)  # type: ignore[operator]
        return [y, *torch.autograd.grad(y, [image, own.weight, own.bias], seen)]

    padding = dilation * (kernel // 2)
    native = results(
        lambda image: F.conv2d(image, own.weight, own.bias, 1, padding, dilation, groups=6)
    )
    for one, other in zip(results(own), native, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_a_frozen_weight_gets_no_gradient_and_the_input_gets_its_own() -> None:
    own = layer(5, 4).requires_grad_(requires_grad=False)
    x = torch.randn(1, 6, 9, 9, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(own, [x])
    assert own.weight.grad is None


def test_under_autocast_the_output_is_what_torch_rounds_it_to() -> None:
    own = layer(3, 4).float()
    x = torch.randn(1, 6, 9, 9)
    with torch.autocast("cpu", torch.bfloat16):
        y, native = own(x), F.conv2d(x, own.weight, None, 1, 4, 4, groups=6)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, native)


def test_an_encoder_takes_them_where_it_is_dilated_and_folds_them() -> None:
    """Its depthwise convolutions of stage 4 and 5 that have a dilation, and no others."""
    network = PSPNet(
        3, encoder="tu-tf_efficientnet_lite0", dilation=Dilation(), encoder_weights=None
    )
    depthwise = [m for m in network.encoder.modules() if getattr(m, "groups", 1) > 1]
    substituted = [m for m in depthwise if isinstance(m, DilatedDepthwiseConv2d)]
    assert [m.dilation[0] > 1 for m in depthwise] == [m in substituted for m in depthwise]
    assert len(substituted) == 11
    copy, _ = fold(network)
    folded = [m for m in copy.encoder.modules() if isinstance(m, DilatedDepthwiseConv2d)]
    assert len(folded) == 11
    assert all(m.bias is not None for m in folded)


def test_nobodys_own_convolution_is_replaced() -> None:
    class Own(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 1

    layers = [nn.Conv2d(3 if i == 0 else 6, 6, 3, stride=2, padding=1) for i in range(4)]
    last = Own(6, 6, 3, stride=2, padding=1, groups=6)
    encoder = nn.Sequential(*layers, last)
    dilate(encoder, Dilation())
    assert encoder[4] is last
    assert last.dilation == (4, 4)
