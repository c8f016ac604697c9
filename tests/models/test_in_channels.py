"""Networks of other channels than RGB: pretrained weights are adapted as smp and timm do."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pspnet.checkpoints.initial_weights import InitialWeights, initialize
from pspnet.models.dilation import Dilation
from pspnet.models.encoder import build_encoder
from pspnet.models.pspnet import PSPNet, from_options


def stem(encoder):
    return next(layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)).weight


def adapted(weight, count):
    """Return weights of RGB, (O, 3, H, W), for other channels by the rule of smp and timm."""
    if count == 1:
        return weight.sum(1, keepdim=True)
    return torch.stack([weight[:, channel % 3] * 3 / count for channel in range(count)], 1)


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet10t"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_weights_of_rgb_are_adapted(encoder, count, tmp_path):
    plain = build_encoder(encoder, weights=None, dilation=Dilation())
    file = tmp_path / "encoder.safetensors"
    save_file({k.removeprefix("model."): v for k, v in plain.state_dict().items()}, file)
    found = build_encoder(encoder, weights=str(file), dilation=Dilation(), in_channels=count)
    torch.testing.assert_close(stem(found), adapted(stem(plain), count))
    torch.testing.assert_close([*found.parameters()][1:], [*plain.parameters()][1:])


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet10t"])
def test_networks_are_built_of_their_options_on_any_device(encoder):
    network = PSPNet(2, encoder, decoder_channels=8, auxiliary=False, in_channels=4)
    assert network.in_channels == 4
    assert network.eval()(torch.rand(1, 4, 40, 33)).shape == (1, 2, 40, 33)
    with torch.device("meta"):
        shapes = from_options(network.options).state_dict()
    assert {k: v.shape for k, v in shapes.items()} == {
        k: v.shape for k, v in network.state_dict().items()
    }


def test_a_run_starts_from_a_network_for_rgb():
    options = {"encoder": "tu-resnet10t", "decoder_channels": 8, "auxiliary": False}
    plain, network = PSPNet(2, **options), PSPNet(2, **options, in_channels=4)
    weights = InitialWeights(Path("rgb.ckpt"), plain.state_dict(), plain.options, ("a", "b"), {})
    initialize(network, ("a", "b"), weights)
    torch.testing.assert_close(stem(network.encoder), adapted(stem(plain.encoder), 4))
    torch.testing.assert_close([*network.parameters()][1:], [*plain.parameters()][1:])
