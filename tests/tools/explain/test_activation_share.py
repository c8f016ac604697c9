"""Terms of the decoder's first convolution add up, and their statistics against numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from pspnet import PSPNet
from pspnet.inference.class_scores import evaluate
from pspnet.tools.explain.activation_share import (
    Statistics,
    collect_statistics,
    decoder_terms,
    why_no_terms,
)
from pspnet.tools.explain.pyramid_parts import ONE_PASS, pyramid_outputs, split_parts


def small(**options) -> PSPNet:
    torch.manual_seed(0)
    return PSPNet(4, encoder="tu-resnet10n", decoder_channels=8, **options).eval()


def parts_and_terms(network, image):
    with torch.no_grad(), pyramid_outputs(network) as outputs:
        evaluate(network, image, ONE_PASS)
        parts = split_parts(network, outputs[0])
        return parts, decoder_terms(network, parts), outputs[0]


@pytest.mark.parametrize("options", [{}, {"bins": (3, 1), "pool": "max"}, {"reduce": False}])
@pytest.mark.parametrize(
    "geometry", [{"padding": 1}, {"padding": 2, "dilation": 2}, {"stride": 2, "bias": True}]
)
def test_terms_add_up_to_the_convolution(options, geometry):
    network = small(**options)
    channels = network.pyramid.out_channels
    network.decoder[0] = nn.Conv2d(channels, 8, 3, **{"bias": False, **geometry})
    assert why_no_terms(network) is None
    _, terms, context = parts_and_terms(network, torch.randn(2, 3, 65, 97))
    with torch.no_grad():
        expected = network.decoder[0](context)
    bias = network.decoder[0].bias
    total = sum(terms.values()) + (0 if bias is None else bias.detach().view(1, -1, 1, 1))
    torch.testing.assert_close(total, expected, rtol=1e-3, atol=1e-4)


def test_statistics_of_images_of_any_size():
    network = small(bins=(1, 3))
    images = [torch.randn(3, 65, 97), torch.randn(3, 33, 41), torch.randn(3, 20, 50)]
    each = [parts_and_terms(network, image[None]) for image in images]
    found = collect_statistics(network, images)
    assert found.images == 3
    for name, mean in found.means().items():
        parts = np.stack([parts[name][0].double().mean((1, 2)).numpy() for parts, _, _ in each])
        np.testing.assert_allclose(mean.numpy(), parts.mean(0), rtol=1e-4, atol=1e-7)
        terms = [terms[name][0].double().numpy() for _, terms, _ in each]
        center = np.mean([t.mean((1, 2)) for t in terms], axis=0)[:, None, None]
        size = np.sqrt(np.mean([(t**2).mean() for t in terms]))
        varying = np.sqrt(np.mean([((t - center) ** 2).mean() for t in terms]))
        assert found.sizes()[name] == (pytest.approx(size, rel=1e-4), pytest.approx(varying, 1e-3))


def test_a_constant_term_does_not_vary():
    statistics = Statistics()
    constant = torch.rand(1, 8, 1, 1).expand(1, 8, 5, 7)
    for _ in range(3):
        statistics.add({"bin 1": constant}, {"bin 1": constant})
    size, varying = statistics.sizes()["bin 1"]
    assert size > 0.1
    assert varying < 1e-3 * size


def test_decoders_that_are_no_sum_say_why():
    network = small(bins=(1, 2))
    assert why_no_terms(network) is None
    with network.decoder[0].register_forward_hook(lambda *_: None):
        assert "hooks" in why_no_terms(network)
    decoder = network.decoder
    network.decoder = nn.Sequential(nn.Sigmoid(), *decoder)
    assert "first layer is Sigmoid in place of Conv2d" in why_no_terms(network)
    network.decoder = nn.Sequential(nn.Conv2d(512, 512, 3, padding=1, groups=512), *decoder)
    assert "groups=512" in why_no_terms(network)
    network.decoder = nn.Sequential(*decoder)
    nn.utils.parametrizations.spectral_norm(network.decoder[0])
    assert "ParametrizedConv2d" in why_no_terms(network)

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.decoder = decoder

        def forward(self, context):
            return self.decoder(context)

    network.decoder = Head()
    assert "the decoder is Head in place of Sequential" in why_no_terms(network)

    class Attention(PSPNet):
        def forward(self, image, upsample=True):
            context = self.pyramid(self.encoder(image)[-1])
            return self.decoder(context * context.mean((2, 3), keepdim=True).sigmoid())

    network = Attention(4, encoder="tu-resnet10n", decoder_channels=8)
    assert "the decoder's input is not the pyramid's output" in why_no_terms(network)
    assert collect_statistics(network.eval(), [torch.randn(3, 65, 65)]).sizes() == {}
