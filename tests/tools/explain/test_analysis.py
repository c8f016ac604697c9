"""An explanation as data: it is of the network as it stands, and says what it leaves out."""

import pytest
import torch
from torch import nn

from pspnet import PSPNet
from pspnet.callbacks.costs import count_flops
from pspnet.models.pyramid_pooling import PyramidPooling
from pspnet.tools.explain.analysis import explain
from pspnet.tools.explain.effective_receptive_field import gradient_energies
from pspnet.tools.explain.pyramid_parts import FEATURES
from pspnet.tools.explain.variants import THIS_NETWORK

SIZE = (65, 65)
PYRAMID_SECTIONS = {"activation shares", "pyramid ablation", "contributions"}
VARIANTS = {"layouts", "dimension reduction"}


def small(kind=PSPNet, **options) -> PSPNet:
    torch.manual_seed(0)
    network = kind(4, encoder="tu-resnet10n", decoder_channels=8, **options).eval()
    if isinstance(network.decoder, nn.Sequential):
        nn.init.normal_(network.decoder[-1].weight)  # otherwise all logits are near 0
    return network


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def plain_energy(images):
    """The distribution of the gradient of a plain network's logits."""
    return gradient_energies(small(), images[:1], only=("logits",))["logits"]


def test_a_plain_network_in_full(images):
    network = small(bins=(1, 3)).train()
    pairs = [(image, torch.randint(0, 4, SIZE)) for image in images]
    found = explain(network, images, labeled=pairs, shown=images[:1])
    assert found.omitted == {}
    assert found.size == SIZE
    assert found.flops == count_flops(network, size=SIZE)
    assert [*found.layers] == [*found.energies]
    assert len(found.layers) == 4
    assert [*found.shares] == [FEATURES, "bin 1", "bin 3"]
    assert found.ablation.matrices["nothing", "mean"].sum() == 2 * 65 * 65
    assert set(found.reduction) == {True, False}
    assert len(found.contributions) == 1
    assert not any(module._forward_hooks for module in network.modules())


def test_without_images_what_needs_weights_is_left_out():
    network = small()
    found = explain(network, size=(65, 97))
    assert (found.energies, found.shares, found.contributions) == ({}, {}, [])
    assert found.ablation is None
    assert found.layers[THIS_NETWORK]
    assert found.omitted == {}
    assert explain(small(bins=()), size=SIZE).omitted["dimension reduction"] == (
        "the network has no bins"
    )


class Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()


class ASPP(nn.Module):
    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, out_channels // 2, 3, padding=rate, dilation=rate)
            for rate in (2, 4)
        )

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class Doubled(PyramidPooling):
    def forward(self, features):
        return 2 * super().forward(features)


class OwnForward(PSPNet):
    def forward(self, image, upsample=True):
        logits = self.decoder(self.pyramid(self.encoder(image)[-1]).flip(3))
        return self.own_upsample(logits, image.shape[2:]) if upsample else logits

    def own_upsample(self, logits, size):
        return nn.functional.interpolate(logits, size, mode="bilinear", align_corners=True)


def with_module(part, build):
    def edit(network):
        setattr(network, part, build(network))

    return edit


def first_layer(build):
    return lambda network: network.decoder.__setitem__(0, build())


# edit: what is left out besides the variants
EDITS = {
    "attention after the pyramid": (
        with_module("decoder", lambda n: nn.Sequential(Attention(512), *n.decoder)),
        {"activation shares"},
    ),
    "ASPP in its place": (with_module("pyramid", lambda n: ASPP(256, 512)), PYRAMID_SECTIONS),
    "a pyramid with a forward": (with_module("pyramid", lambda n: Doubled(256)), PYRAMID_SECTIONS),
    "GELU": (lambda network: network.decoder.__setitem__(2, nn.GELU()), set()),
    "GroupNorm": (lambda network: network.decoder.__setitem__(1, nn.GroupNorm(2, 8)), set()),
    "a dilated convolution": (
        first_layer(lambda: nn.Conv2d(512, 8, 3, padding=2, dilation=2)),
        set(),
    ),
    "a depthwise convolution": (
        first_layer(
            lambda: nn.Sequential(
                nn.Conv2d(512, 512, 3, padding=1, groups=512), nn.Conv2d(512, 8, 1)
            )
        ),
        {"activation shares"},
    ),
    "spectral norm": (
        lambda network: nn.utils.parametrizations.spectral_norm(network.decoder[0]),
        {"activation shares"},
    ),
    "old spectral norm": (
        lambda network: nn.utils.spectral_norm(network.decoder[0]),
        {"activation shares"},
    ),
    "a hook": (
        lambda network: network.decoder[0].register_forward_hook(lambda _, __, y: 2 * y),
        {"activation shares"},
    ),
    "align_corners": (lambda network: setattr(network, "align_corners", False), set()),
    "another head": (
        with_module("decoder", lambda n: Head()),
        {"activation shares"},
    ),
    "a wrapped encoder": (with_module("encoder", lambda n: Wrapped(n.encoder)), set()),
}


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classify = nn.Conv2d(512, 4, 1)

    def forward(self, context):
        return self.classify(context.relu())


class Wrapped(nn.Module):
    def __init__(self, encoder) -> None:
        super().__init__()
        self.inner, self.out_channels = encoder, encoder.out_channels

    def forward(self, image):
        return [feature * 0.5 for feature in self.inner(image)]


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_explained_or_left_out_with_a_reason(name, images, plain_energy):
    network, images = small(), images[:1]
    edit, missing = EDITS[name]
    edit(network)
    with torch.no_grad():
        expected = network(images)[0]
    network(images).sum().backward()  # as in a training: some tensors are no leaves any more
    found = explain(network, images)
    assert found.flops == count_flops(network, size=SIZE)
    assert found.omitted.keys() == VARIANTS | missing | {"pyramid ablation"}
    assert all(found.omitted.values())
    assert [*found.layers] == [*found.energies] == [THIS_NETWORK]
    assert "stage 5" in found.energies[THIS_NETWORK]
    assert abs(plain_energy - found.energies[THIS_NETWORK]["logits"]).max() > 1e-6
    if found.contributions:
        torch.testing.assert_close(found.contributions[0].logits, expected, rtol=1e-3, atol=1e-4)
        maps = found.contributions[0].maps
        assert all(change.abs().max() > 0 for change in maps.values())


def test_a_subclass_with_its_own_forward(images):
    network = small(OwnForward)
    found = explain(network, images)
    assert "is a OwnForward" in found.omitted["layouts"]
    assert "not the pyramid's output" in found.omitted["activation shares"]
    with torch.no_grad():
        torch.testing.assert_close(
            found.contributions[0].logits, network(images[:1])[0], rtol=1e-3, atol=1e-4
        )
