"""An explanation as data: it is of the network as it stands, and says what it leaves out."""

import pytest
import torch
from edits import EDITS, plain
from edits import network as unedited
from torch import nn

from pspnet import PSPNet
from pspnet.callbacks.costs import count_flops, count_parameters
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


# what an edit makes meaningless, besides variants from the network's options
PYRAMIDS = ("pyramid_subclass", "attention_after_the_pyramid", "aspp")
DECODERS = ("depthwise_separable_decoder", "spectral_norm_on_the_decoder", "forward_hook")
MISSING = {
    **{name: VARIANTS for name in EDITS if name != "frozen_stages"},
    **dict.fromkeys(PYRAMIDS, VARIANTS | PYRAMID_SECTIONS),
    **{name: VARIANTS | {"activation shares"} for name in (*DECODERS, "another_head")},
}


@pytest.fixture(scope="module")
def energy(images):
    """The distribution of the gradient of the unedited network's logits."""
    return gradient_energies(unedited().eval(), images[:1], only=("logits",))["logits"]


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_explained_or_left_out_with_a_reason(name, images, energy):
    network, images = EDITS[name]().eval(), images[:1].double()
    with torch.no_grad():
        expected = plain(network, images)[0]
    found = explain(network, images)
    missing = MISSING.get(name, set())
    assert found.omitted.keys() == missing | {"pyramid ablation"}
    assert all(found.omitted.values())
    assert found.flops == count_flops(network, size=SIZE)
    layers = [layer for layer in found.layers[THIS_NETWORK] if not layer.training_only]
    assert sum(layer.parameters for layer in layers) == count_parameters(network, inference=True)
    if name != "frozen_stages":  # which changes the training alone
        assert abs(energy - found.energies[THIS_NETWORK]["logits"]).max() > 1e-6
    assert bool(found.contributions) == ("contributions" not in missing)
    for shown in found.contributions:
        torch.testing.assert_close(shown.logits, expected, rtol=1e-9, atol=1e-9)
        assert all(change.abs().max() > 0 for change in shown.maps.values())


class OwnForward(PSPNet):
    def forward(self, image, upsample=True):
        logits = self.decoder(self.pyramid(self.encoder(image)[-1]).flip(3))
        return self.upsample(logits, image.shape[2:]) if upsample else logits


def test_a_subclass_with_its_own_forward(images):
    network = small(OwnForward)
    found = explain(network, images[:1])
    assert "is a OwnForward" in found.omitted["layouts"]
    assert "not the pyramid's output" in found.omitted["activation shares"]
    with torch.no_grad():
        expected = network(images[:1])[0]
    torch.testing.assert_close(found.contributions[0].logits, expected, rtol=1e-3, atol=1e-4)


def test_a_weight_that_is_computed_before_each_pass(images):
    """After a training step it is no leaf, which no deep copy takes."""
    network = small()
    nn.utils.spectral_norm(network.decoder[0])
    network(images).sum().backward()
    found = explain(network, images[:1])
    assert "hooks" in found.omitted["layouts"] or "weight" in found.omitted["layouts"]
    assert found.contributions
