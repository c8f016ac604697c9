"""The decoder's input taken apart: terms add up, and silencing is what it says."""

import numpy as np
import pytest
import torch

from pspnet import PSPNet
from pspnet.evaluation.whole import whole
from pspnet.tools.explain.pyramid import (
    EVERY_BIN,
    FEATURES,
    WHOLE,
    Averages,
    contributions,
    logits,
    part_names,
    silenced,
    split,
    term,
    variants,
)

OPTIONS = (
    {},
    {"bins": (3, 1), "pool": "max", "align_corners": False},
    {"bins": (1, 2), "reduce": False},
    {"bins": (1, 2, 3)},  # 256 channels are not divided by 3 without a rest
    {"bins": ()},
)


def small(**options) -> PSPNet:
    torch.manual_seed(0)
    network = PSPNet(4, encoder="tu-resnet10n", decoder_channels=8, **options).eval()
    torch.nn.init.normal_(network.decoder[4].weight)  # else all scores are near 0
    return network


def with_context(network, image, change):
    """The forward pass as published, the decoder's input changed on the way."""
    network.concatenate = True
    hook = network.decoder.register_forward_pre_hook(lambda _, inputs: change(inputs[0].clone()))
    try:
        return whole(network, image)
    finally:
        hook.remove()
        network.concatenate = False


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("size", [(65, 97), (50, 41), (20, 70)])
def test_nothing_silenced_is_the_network(options, size):
    network, image = small(**options), torch.randn(2, 3, *size)
    terms = split(network, image)
    assert list(terms.terms) == part_names(network)
    contexts = []
    with_context(network, image, lambda x: contexts.append(x) or x)
    torch.testing.assert_close(torch.cat(list(terms.parts.values()), 1), contexts[0])
    total = silenced(network, terms, [], None)
    torch.testing.assert_close(total, network.decoder[0](contexts[0]), rtol=1e-3, atol=1e-4)
    own = logits(network, total, terms)
    torch.testing.assert_close(own, whole(network, image), rtol=1e-3, atol=1e-4)


def test_silenced_parts_are_zeros_or_means_in_the_decoders_input():
    network, image = small(bins=(1, 2)), torch.randn(1, 3, 65, 65)
    terms = split(network, image)
    means = {name: torch.rand(part.shape[1]) for name, part in terms.parts.items()}
    places = {FEATURES: slice(0, 256), "bin 1": slice(256, 384), "bin 2": slice(384, 512)}
    for names in ([FEATURES], ["bin 2"], ["bin 1", "bin 2"]):
        for values in (None, means):

            def change(context, names=names, values=values):
                for name in names:
                    filling = 0 if values is None else values[name].view(1, -1, 1, 1)
                    context[:, places[name]] = filling
                return context

            expected = with_context(network, image, change)
            found = logits(network, silenced(network, terms, names, values), terms)
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
            assert (found - whole(network, image)).abs().max() > 0.1


def test_variants():
    assert variants(small(bins=(1, 2))) == {
        WHOLE: [],
        FEATURES: [FEATURES],
        "bin 1": ["bin 1"],
        "bin 2": ["bin 2"],
        EVERY_BIN: ["bin 1", "bin 2"],
    }
    assert list(variants(small(bins=(6,)))) == [WHOLE, FEATURES, "bin 6"]
    assert list(variants(small(bins=()))) == [WHOLE, FEATURES]


def test_averages_over_images_of_any_size():
    network, found = small(bins=(1, 3)), Averages()
    images = [torch.randn(1, 3, 65, 97), torch.randn(1, 3, 33, 41), torch.randn(2, 3, 65, 65)]
    each = []
    for image in images:
        terms = split(network, image)
        found.add(terms)
        each += [(terms, index) for index in range(len(image))]
    assert found.images == 4
    for name in part_names(network):
        parts = np.stack([t.parts[name][i].double().mean((1, 2)).numpy() for t, i in each])
        np.testing.assert_allclose(found.means()[name].numpy(), parts.mean(0), rtol=1e-4)
        terms = [t.terms[name][i].double().numpy() for t, i in each]
        center = np.mean([t.mean((1, 2)) for t in terms], axis=0)[:, None, None]
        size = np.sqrt(np.mean([(t**2).mean() for t in terms]))
        varying = np.sqrt(np.mean([((t - center) ** 2).mean() for t in terms]))
        assert found.sizes()[name] == (pytest.approx(size, rel=1e-4), pytest.approx(varying, 1e-3))


def test_a_constant_part_varies_by_nothing():
    network, found = small(bins=(1, 3)), Averages()
    terms = split(network, torch.randn(1, 3, 65, 65))
    one = term(network, "bin 1", terms.parts["bin 1"])
    inner = {**terms.terms, "bin 1": one[:, :, 1:-1, 1:-1]}  # away from the padding
    found.add(type(terms)(inner, terms.parts, terms.padded, terms.window))
    size, varying = found.sizes()["bin 1"]
    assert size > 0.01
    assert varying < 1e-3 * size


def test_contributions_are_of_the_predicted_class():
    network, image = small(), torch.randn(3, 50, 41)
    means = {name: part.mean((0, 2, 3)) for name, part in split(network, image[None]).parts.items()}
    prediction, maps = contributions(network, image, means)
    scores = whole(network, image[None])[0]
    assert torch.equal(prediction, scores.argmax(0))
    assert list(maps) == part_names(network)

    def change(context):
        context[:, 256 + 64 : 256 + 128] = means["bin 2"].view(1, -1, 1, 1)
        return context

    without = with_context(network, image[None], change)[0]
    for row, column in ((0, 0), (20, 30), (49, 40)):
        chosen = prediction[row, column]
        expected = scores[chosen, row, column] - without[chosen, row, column]
        assert maps["bin 2"][row, column].item() == pytest.approx(expected.item(), abs=1e-3)
    assert maps["bin 2"].abs().max() > 0.1
