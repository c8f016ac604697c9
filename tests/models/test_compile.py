"""`torch.compile` on the network: minutes of compilation, so `pytest -m slow`."""

import copy

import pytest
import torch

from pspnet import PSPNet
from pspnet.inference.network_copy import inference_copy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["tu-resnet10t", "resnet18"])
def network(request) -> PSPNet:
    torch.manual_seed(0)
    network = PSPNet(4, encoder=request.param, decoder_channels=16, dropout=0.0)
    torch.nn.init.normal_(network.decoder[4].weight)
    return network.to(memory_format=torch.channels_last)


def picture(*size: int) -> torch.Tensor:
    return torch.randn(2, 3, *size).contiguous(memory_format=torch.channels_last)


def test_outputs_and_gradients_are_those_of_the_plain_network(network):
    # float32 gradients of random networks differ from these by a hundredth, compiled or not
    plain, compiled = (copy.deepcopy(network).double().train() for _ in range(2))
    compiled.compile()
    image = picture(65, 97).double()
    for found in (plain, compiled):
        logits, auxiliary = found(image, upsample=False)
        (logits.square().mean() + auxiliary.square().mean()).backward()
        found.result = logits.detach()
    torch.testing.assert_close(compiled.result, plain.result, rtol=1e-9, atol=1e-9)
    for one, other in zip(compiled.parameters(), plain.parameters(), strict=True):
        largest = other.grad.abs().max().item()
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-6, atol=1e-6 * largest)
    assert compiled.state_dict().keys() == plain.state_dict().keys()


def test_one_folded_network_takes_images_of_all_sizes(network):
    network.eval()
    folded = inference_copy(network)[0]
    folded.compile(dynamic=True)
    with torch.no_grad():
        for size in ((65, 97), (73, 81), (129, 65)):
            image = picture(*size)
            expected = network(image, upsample=False)
            found = folded(image, upsample=False)
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
