"""Networks that differ in one option: weights, features, costs against formulas; edits say so."""

import pytest
import torch
from torch import nn

from pspnet import Dilation, PSPNet
from pspnet.callbacks.costs import count_flops, count_parameters
from pspnet.models.pyramid_pooling import PyramidPooling
from pspnet.tools.explain.variants import (
    LAYOUTS,
    THIS_NETWORK,
    describe,
    layouts,
    reduction_costs,
    why_edited,
)


def small(**options) -> PSPNet:
    torch.manual_seed(0)
    return PSPNet(5, encoder="tu-resnet10n", decoder_channels=16, **options).eval()


def test_layouts_share_weights_and_half_keeps_the_plain_outputs():
    network = small()
    assert network.dilation == Dilation()
    networks, refused = layouts(network)
    assert not refused
    assert networks[THIS_NETWORK] is network
    assert [*networks] == [THIS_NETWORK, *(name for name in LAYOUTS if "full" not in name)]
    image, features = torch.randn(1, 3, 65, 129), {}
    for name, other in networks.items():
        assert other.dilation == LAYOUTS.get(name, Dilation())
        assert not other.training
        for key, value in other.state_dict().items():
            assert torch.equal(value, network.state_dict()[key])
        with torch.no_grad():
            features[name] = other.encoder(image)[-1]
    assert [x.shape[3] for x in features.values()] == [17, 5, 9, 17]
    half, plain = features["output stride 8, first block half"], features["output stride 32"]
    torch.testing.assert_close(half[:, :, ::4, ::4], plain, rtol=1e-4, atol=1e-5)


def test_layouts_in_words():
    assert describe(Dilation((1,), (1,))) == "output stride 32"
    words = describe(Dilation((2,), (4, 8), "half", "first"))
    assert words == (
        "output stride 8; stage 4 dilated by 2; stage 5 dilated by 4, 8; first block half; "
        "only the first convolution of a block"
    )


def test_a_width_of_levels_is_one_to_reduce_to():
    costs = reduction_costs(small(level_width=2), size=(65, 97))
    assert (costs[True].level, costs[False].level) == (512, 256)


@pytest.mark.parametrize("reduce", [True, False])
@pytest.mark.parametrize("bins", [(1, 2, 3, 6), (1, 2, 4)])
def test_costs_against_formulas(reduce, bins):
    network = small(bins=bins, reduce=reduce)
    costs = reduction_costs(network, size=(65, 97))
    assert costs[reduce].as_run == count_flops(network, size=(65, 97))
    cells, units, width = sum(side**2 for side in bins), 9 * 13, 256 // len(bins)
    with_, without = costs[True], costs[False]
    assert (with_.level, with_.context) == (width, 256 + len(bins) * width)
    assert with_.pyramid == (len(bins) * width * (256 + 2), 2 * 256 * width * cells)
    assert (without.level, without.context) == (256, 256 * (1 + len(bins)))
    assert without.pyramid == (0, 0)
    for cost in (with_, without):
        kernel = 9 * cost.context * 16
        assert cost.decoder == (kernel + 2 * 16 + 16 * 5 + 5, 2 * (kernel + 16 * 5) * units)
    with network.pyramid.register_forward_hook(lambda *_: None):  # it is called as a module
        total = (count_parameters(network, inference=True), count_flops(network, size=(65, 97)))
    assert costs[reduce].network == total
    saved = with_.network[0] - without.network[0]
    assert saved == with_.pyramid[0] + with_.decoder[0] - without.decoder[0]


@pytest.mark.parametrize("encoder", ["tu-resnet10t", "efficientnet-b0", "tu-convnext_atto"])
def test_unedited_networks(encoder):
    options = {"bins": (2, 4), "pool": "max", "align_corners": False, "auxiliary": False}
    network = PSPNet(5, encoder=encoder, decoder_channels=16, **options)
    assert why_edited(network) is None
    for parameter in network.encoder.parameters():
        nn.init.ones_(parameter)
        parameter.requires_grad_(False)
    assert why_edited(network.eval()) is None  # weights and mode are no edits


class Subclass(PSPNet):
    """A network with a class of its own."""


def add_dropout(network):
    network.extra = nn.Dropout()


def remove_auxiliary(network):
    network.auxiliary = None


def pyramid_of_the_same_name(network):
    kind = type("PyramidPooling", (PyramidPooling,), {})
    network.pyramid = kind(256)


EDITS = {
    "is a Subclass": lambda network: setattr(network, "__class__", Subclass),
    "extra is Dropout": add_dropout,
    "auxiliary is missing": remove_auxiliary,
    "decoder.2 is GELU": lambda network: network.decoder.__setitem__(2, nn.GELU()),
    "align_corners=False": lambda network: setattr(network, "align_corners", False),
    "dilation=(2, 2)": lambda network: setattr(network.decoder[0], "dilation", (2, 2)),
    "decoder.0.bias is of shape [16], by its options missing": lambda n: setattr(
        n.decoder[0], "bias", nn.Parameter(torch.zeros(16))
    ),
    "pyramid is PyramidPooling(": pyramid_of_the_same_name,
    "pyramid: PyramidPooling has hooks": lambda n: n.pyramid.register_forward_hook(lambda *_: None),
    "has a forward of its own": lambda n: setattr(n.decoder[1], "forward", torch.relu),
    "ParametrizedConv2d": lambda network: nn.utils.parametrizations.spectral_norm(
        network.decoder[0]
    ),
}


@pytest.mark.parametrize("sentence", EDITS)
def test_edited_networks_say_how(sentence):
    network = small()
    EDITS[sentence](network)
    assert sentence in why_edited(network)
