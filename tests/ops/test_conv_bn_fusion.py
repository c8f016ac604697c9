"""Folded networks against the networks themselves."""

import pytest
import torch
from torch import nn

from pspnet import PSPNet
from pspnet.inference import network_copy
from pspnet.ops.conv_bn_fusion import same_output


def fold(network):
    return network_copy.fold(network)[0]


def network_of(encoder: str, **options) -> PSPNet:
    """In float64, with statistics and classifiers that leave no part without effect."""
    torch.manual_seed(0)
    network = PSPNet(5, encoder=encoder, decoder_channels=8, **options).double()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
    nn.init.normal_(network.decoder[4].weight)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())


@pytest.mark.parametrize(
    ("encoder", "left"),
    # the auxiliary head's, which no inference computes; of DenseNet those before convolutions; of
    # RegNet and EfficientNet others hold their activation, and Lite has convolutions that pad
    # themselves
    [
        ("resnet18", 1),
        ("tu-resnet10t", 1),
        ("vgg16_bn", 1),
        ("densenet121", 63),
        ("tu-regnetx_002", 1),
        ("tu-tf_efficientnet_lite0", 1),
    ],
)
def test_it_computes_the_same(encoder, left):
    network = network_of(encoder)
    image = torch.randn(1, 3, 41, 65, dtype=torch.float64)
    folded = fold(network)
    with torch.no_grad():
        torch.testing.assert_close(folded(image), network(image), rtol=1e-10, atol=1e-10)
        folded.fused_pyramid = False
        torch.testing.assert_close(folded(image), network(image), rtol=1e-10, atol=1e-10)
    assert norms(folded) == left < norms(network)


def test_the_network_is_left_as_it_is_and_can_train_on():
    network = network_of("tu-resnet10t")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fold(network.train())
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert fold(network).decoder[0].weight.data_ptr() != network.decoder[0].weight.data_ptr()


def test_later_weights_need_a_new_copy():
    network = network_of("tu-resnet10t")
    image = torch.randn(1, 3, 41, 65, dtype=torch.float64)
    with torch.no_grad():
        network.decoder[0].weight.mul_(2)
        torch.testing.assert_close(fold(network)(image), network(image), rtol=1e-9, atol=1e-9)


def test_what_something_else_reads_too_is_not_folded(monkeypatch):
    network = network_of("tu-resnet10t")
    network.fused_pyramid = False
    plain = nn.Sequential.forward

    def forward(self, x):
        if len(self) == 5 and isinstance(self[0], nn.Conv2d):  # the heads
            y = self[0](x)
            return plain(self[1:], y) + y.mean()  # reads the convolution's output a second time
        return plain(self, x)

    monkeypatch.setattr(nn.Sequential, "forward", forward)
    image = torch.randn(1, 3, 41, 65, dtype=torch.float64)
    folded = fold(network)
    assert isinstance(folded.decoder[1], nn.BatchNorm2d)
    with torch.no_grad():
        torch.testing.assert_close(folded(image), network(image), rtol=1e-10, atol=1e-10)


def test_hooks_run_in_the_copy_and_shared_batchnorm_is_folded():
    network = network_of("tu-resnet10t")
    calls = []
    shared = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    shared.decoder[4].register_forward_hook(lambda *_: calls.append("classifier"))
    shared.decoder[1].register_forward_hook(lambda *_: calls.append("norm"))
    image = torch.randn(1, 3, 41, 65, dtype=torch.float64)
    folded = fold(shared)
    calls.clear()
    with torch.no_grad():
        found = folded(image)
        assert calls == ["norm", "classifier"]
        torch.testing.assert_close(found, shared(image), rtol=1e-10, atol=1e-10)
    assert norms(folded) == 2  # the auxiliary head's, and the one with a hook


def test_a_copy_that_computes_something_else_is_found():
    network = network_of("tu-resnet10t")
    assert same_output(network, fold(network))
    other = fold(network)
    other.decoder[4].bias = nn.Parameter(other.decoder[4].bias + 1e-2)
    assert not same_output(network, other)
