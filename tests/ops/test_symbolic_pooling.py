"""Pooling without torch's adaptive kernels, and padding without timm's Python, at every size."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from pspnet.ops.same_padding import SameConv2d, replace_same_padding
from pspnet.ops.symbolic_pooling import SymbolicPooling, adaptive_average, adaptive_max

SIZES = ((1, 1), (2, 5), (4, 7), (13, 9), (60, 33))


@pytest.mark.parametrize("cells", [1, 2, 3, 6, 7, (2, 3), (None, 4)])
def test_pooling_is_that_of_torch(cells):
    for size in SIZES:
        maps = torch.randn(2, 3, *size, dtype=torch.float64)
        torch.testing.assert_close(
            adaptive_average(maps, cells), F.adaptive_avg_pool2d(maps, cells)
        )
        assert torch.equal(adaptive_max(maps, cells), F.adaptive_max_pool2d(maps, cells))


def test_pooling_is_replaced_in_modules_and_functions():
    maps, half = torch.randn(1, 2, 9, 7), torch.randn(1, 2, 9, 7).half()
    pools = (nn.AdaptiveAvgPool2d(3), nn.AdaptiveMaxPool2d((2, 5)))
    plain = [pool(maps) for pool in pools]
    with SymbolicPooling():
        for pool, expected in zip(pools, plain, strict=True):
            torch.testing.assert_close(pool(maps), expected)
        assert F.adaptive_avg_pool2d(half, 3).dtype == torch.float16
        assert len(F.adaptive_max_pool2d(maps, 2, return_indices=True)) == 2


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(3, 2, 1), (5, 2, 1), (3, 1, 4), (2, 2, 1)]
)
def test_same_padding_is_that_of_timm(kernel, stride, dilation):
    network = nn.Sequential(Conv2dSame(2, 3, kernel, stride=stride, dilation=dilation))
    plain = network[0]
    replace_same_padding(network)
    assert type(network[0]) is SameConv2d
    for size in ((32, 33), (47, 40), (5, 9)):
        image = torch.randn(1, 2, *size)
        torch.testing.assert_close(network(image), plain(image))
