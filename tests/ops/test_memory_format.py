"""Depthwise convolutions in bfloat16 on CPUs take channels first, all others channels last."""

from copy import deepcopy

import pytest
import torch

from pspnet import PSPNet
from pspnet.ops.memory_format import fastest_format, in_format_of, set_format

FIRST, LAST = torch.contiguous_format, torch.channels_last
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("encoder", "device", "precision", "expected"),
    [
        ("tu-tf_efficientnet_lite0", "cpu", "bf16-mixed", FIRST),
        ("tu-tf_efficientnet_lite0", "cpu", "bf16-true", FIRST),
        ("tu-tf_efficientnet_lite0", "cpu", "32-true", LAST),
        ("tu-tf_efficientnet_lite0", "cuda", "bf16-mixed", LAST),
        ("tu-regnetx_002", "cpu", "bf16-mixed", LAST),  # groups of several channels
        ("tu-resnet10t", "cpu", "bf16-mixed", LAST),
    ],
)
def test_the_format_follows_the_convolutions(encoder, device, precision, expected):
    network = PSPNet(2, encoder, decoder_channels=8)
    found = fastest_format(network, device=torch.device(device), precision=precision)
    assert found == expected


@pytest.mark.parametrize("memory_format", [FIRST, LAST])
def test_images_take_the_format_of_the_weights(memory_format):
    network = PSPNet(2, "tu-resnet10t", decoder_channels=8)
    set_format(network, memory_format)
    for each in (network, deepcopy(network)):
        image = in_format_of(each, torch.rand(2, 3, 40, 48))
        assert image.is_contiguous(memory_format=memory_format)
        weight = each.decoder[0].weight
        assert weight.is_contiguous(memory_format=memory_format)
    assert in_format_of(torch.nn.Identity(), torch.rand(2, 3, 4, 4)).is_contiguous(
        memory_format=LAST
    )
