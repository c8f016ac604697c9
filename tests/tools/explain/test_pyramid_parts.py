"""Parts of the pyramid's output: replacing them is what it says, whatever follows the pyramid."""

import pytest
import torch
from torch import nn

from pspnet import PSPNet
from pspnet.inference.class_scores import evaluate
from pspnet.models.pyramid_pooling import PyramidPooling
from pspnet.tools.explain.pyramid_parts import (
    ALL_BINS,
    FEATURES,
    NOTHING,
    ONE_PASS,
    ablated,
    contributions,
    part_widths,
    pyramid_outputs,
    remember_features,
    variants,
    why_no_parts,
)

PLACES = {FEATURES: slice(0, 256), "bin 1": slice(256, 384), "bin 2": slice(384, 512)}


def small(**options) -> PSPNet:
    torch.manual_seed(0)
    network = PSPNet(4, encoder="tu-resnet10n", decoder_channels=8, **options).eval()
    nn.init.normal_(network.decoder[4].weight)  # otherwise all logits are near 0
    return network


class WithContext(nn.Module):
    """The network as published, with a change of the decoder's input written into its forward."""

    def __init__(self, network, change) -> None:
        super().__init__()
        self.network, self.change = network, change
        self.align_corners, self.output_stride = network.align_corners, network.output_stride
        self.num_classes = network.num_classes

    def forward(self, image, upsample=True):
        network = self.network
        context = self.change(network.pyramid(network.encoder(image)[-1]).clone())
        logits = network.decoder(context)
        if not upsample:
            return logits
        return nn.functional.interpolate(
            logits, image.shape[2:], mode="bilinear", align_corners=self.align_corners
        )


def replaced(network, image, parts, values):
    """Logits with some channels of the decoder's input replaced."""

    def change(context):
        for part in parts:
            filling = 0 if values is None else values[part].view(1, -1, 1, 1)
            context[:, PLACES[part]] = filling
        return context

    return evaluate(WithContext(network, change).eval(), image, ONE_PASS)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize(
    ("options", "widths"),
    [
        ({}, [256, 64, 64, 64, 64]),
        ({"bins": (3, 1), "pool": "max"}, [256, 128, 128]),
        ({"bins": (1, 2), "reduce": False}, [256, 256, 256]),
        ({"bins": (1, 2, 3)}, [256, 85, 85, 85]),
    ],
)
def test_parts_in_order(options, widths):
    network = small(**options)
    names = [FEATURES, *(f"bin {side}" for side in network.pyramid.bins)]
    assert part_widths(network) == dict(zip(names, widths, strict=True))
    assert why_no_parts(network) is None


EDITS = {
    "none": lambda network: None,
    "no alignment": lambda network: setattr(network, "align_corners", False),
    "a dilated convolution": lambda network: network.decoder.__setitem__(
        0, nn.Conv2d(512, 8, 3, padding=2, dilation=2)
    ),
    "a depthwise convolution": lambda network: network.decoder.__setitem__(
        0, nn.Sequential(nn.Conv2d(512, 512, 3, padding=1, groups=512), nn.Conv2d(512, 8, 1))
    ),
    "spectral norm": lambda network: nn.utils.parametrizations.spectral_norm(network.decoder[0]),
    "a hook on the decoder": lambda network: network.decoder[0].register_forward_hook(
        lambda _, __, y: y.tanh()
    ),
    "a hook on the pyramid": lambda network: network.pyramid.register_forward_hook(
        lambda _, __, y: 2 * y
    ),
    "another activation": lambda network: network.pyramid.levels[0].__setitem__(2, nn.GELU()),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("size", [(65, 97), (20, 70)])
def test_ablated_parts_are_zeros_or_means_in_the_decoders_input(edit, size):
    network, image = small(bins=(1, 2)), torch.randn(2, 3, *size)
    EDITS[edit](network)
    means = {part: torch.rand(place.stop - place.start) for part, place in PLACES.items()}
    for parts in ([], [FEATURES], ["bin 2"], ["bin 1", "bin 2"]):
        for values in (None, means):
            with ablated(network, parts, values):
                found = evaluate(network, image, ONE_PASS)
            expected = replaced(network, image, parts, values)
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
            difference = (found - evaluate(network, image, ONE_PASS)).abs().max()
            assert difference > 0.05 if parts else difference < 1e-3
    with pyramid_outputs(network) as outputs:
        evaluate(network, image, ONE_PASS)
    assert [output.shape[1] for output in outputs] == [512]


def test_variants():
    assert variants(small(bins=(1, 2))) == {
        NOTHING: [],
        FEATURES: [FEATURES],
        "bin 1": ["bin 1"],
        "bin 2": ["bin 2"],
        ALL_BINS: ["bin 1", "bin 2"],
    }
    assert list(variants(small(bins=(6,)))) == [NOTHING, FEATURES, "bin 6"]


def test_networks_without_parts_say_why():
    assert "no bins" in why_no_parts(small(bins=()))
    network = small()
    network.pyramid = nn.Conv2d(256, 512, 1)
    assert "Conv2d in place of PyramidPooling" in why_no_parts(network)

    class Shuffled(PyramidPooling):
        def forward(self, features):
            return super().forward(features).flip(1)

    network.pyramid = Shuffled(256)
    assert "Shuffled has a forward of its own" in why_no_parts(network)

    class Renamed(PyramidPooling):
        """Another constructor, the same output."""

    network.pyramid = Renamed(256)
    assert why_no_parts(network) is None
    network.pyramid.register_forward_hook(lambda _, __, y: y[:, :300])
    network.decoder[0] = nn.Conv2d(300, 8, 1)
    assert "512 channels" in why_no_parts(network)

    class Without(PSPNet):
        def forward(self, image, upsample=True):
            return self.auxiliary(self.encoder(image)[-2])

    network = Without(4, encoder="tu-resnet10n", decoder_channels=8)
    assert "the forward of Without does not call the pyramid" in why_no_parts(network)


def test_the_encoder_runs_once_per_input():
    network, calls = small(), []
    network.encoder.register_forward_hook(lambda *_: calls.append("outer"))
    inner = next(network.encoder.children())
    inner.register_forward_hook(lambda *_: calls.append("inner"))
    one, other = torch.randn(2, 1, 3, 65, 65)
    plain = network(one)
    calls.clear()
    with remember_features(network.encoder):
        for image in (one, other, one, one.clone()):
            found = network(image)
            network.encoder(image)[-1].zero_()  # a copy
    torch.testing.assert_close(found, plain)
    assert (calls.count("inner"), calls.count("outer")) == (2, 8)
    calls.clear()
    with remember_features(network.encoder, limit=10):
        network(one)
        network(one)
    assert calls.count("inner") == 2
    assert "forward" not in vars(network.encoder)


def test_contributions_are_those_to_the_predicted_class():
    network, image = small(bins=(1, 2)), torch.randn(3, 50, 41)
    means = {part: torch.rand(place.stop - place.start) for part, place in PLACES.items()}
    logits, maps = contributions(network, image, means)
    torch.testing.assert_close(logits[None], replaced(network, image[None], [], None))
    assert list(maps) == [*PLACES]
    without = replaced(network, image[None], ["bin 2"], means)[0]
    prediction = logits.argmax(0)
    for row, column in ((0, 0), (20, 30), (49, 40)):
        chosen = prediction[row, column]
        expected = logits[chosen, row, column] - without[chosen, row, column]
        assert maps["bin 2"][row, column].item() == pytest.approx(expected.item(), abs=1e-3)
    assert maps["bin 2"].abs().max() > 0.1
