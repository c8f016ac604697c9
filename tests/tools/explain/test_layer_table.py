"""Layers: shapes, parameters and operations against a real forward pass and plain formulas."""

import csv
from io import StringIO

import pytest
import torch
from torch import nn

from pspnet import Dilation, PSPNet
from pspnet.callbacks.costs import count_flops, count_parameters
from pspnet.tools.explain.layer_table import parts_of, to_csv, trace_layers

SIZE = (65, 97)


def small(encoder="tu-resnet10n", **options) -> PSPNet:
    torch.manual_seed(0)
    return PSPNet(5, encoder=encoder, decoder_channels=16, **options).eval()


def published_flops(network) -> int:
    """Operations with the decoder's input concatenated: a hook keeps the pyramid a module."""
    with network.pyramid.register_forward_hook(lambda *_: None):
        return count_flops(network, size=SIZE)


ENCODERS = ("tu-resnet10n", "resnet18", "efficientnet-b0", "tu-convnext_atto")
IDLE = ("_conv_head.", "_bn1.")  # after the last features of EfficientNet


@pytest.mark.parametrize("encoder", ENCODERS)
def test_sums_are_those_of_the_network(encoder):
    network = small(encoder)
    layers = trace_layers(network, size=SIZE, training_only=True)
    used = [layer for layer in layers if not layer.training_only]
    assert {layer.part for layer in layers if layer.training_only} == {"auxiliary"}
    assert [layer.name for layer in trace_layers(network, size=SIZE)] == [x.name for x in used]
    assert sum(layer.flops for layer in used) == published_flops(network)
    named = network.encoder.named_parameters()
    idle = sum(parameter.numel() for name, parameter in named if name.startswith(IDLE))
    assert sum(layer.parameters for layer in layers) == count_parameters(network) - idle
    assert sum(part.parameters for part in parts_of(layers)) == count_parameters(network) - idle


def test_each_layer_against_a_real_pass_and_the_formula_of_a_convolution():
    network = small(bins=(1, 3))
    seen = {}
    for name, module in network.named_modules():
        module.register_forward_hook(lambda _, __, y, name=name: seen.update({name: y}))
    with torch.no_grad():
        network(torch.zeros(1, 3, *SIZE))
        network.auxiliary(torch.zeros(1, 128, 9, 13))
    layers = trace_layers(network, size=SIZE, training_only=True)
    assert len(layers) > 60
    for layer in layers:
        module = network.get_submodule(layer.name)
        assert layer.shape == tuple(seen[layer.name].shape[1:])
        assert layer.kind == type(module).__name__
        if isinstance(module, nn.Conv2d):
            channels, height, width = layer.shape
            each = module.in_channels // module.groups * layer.kernel[0] * layer.kernel[1]
            assert layer.flops == 2 * each * channels * height * width
            assert (layer.stride, layer.dilation) == (module.stride[0], module.dilation[0])
        else:
            assert layer.flops == 0


def test_parts_follow_figure_3():
    network = small(bins=(1, 3), dilation=Dilation((2,), (2, 4)))
    own = parts_of(trace_layers(network, size=SIZE, training_only=True))
    stages = [f"stage {k}" for k in range(1, 6)]
    assert [p.name for p in own] == [*stages, "bin 1", "bin 3", "decoder", "auxiliary"]
    by_name = {p.name: p for p in own}
    assert [by_name[s].shape[1:] for s in stages] == [(33, 49), (17, 25), (9, 13), (9, 13), (9, 13)]
    assert [by_name[s].convolutions for s in stages] == [3, 2, 3, 3, 3]  # with 1×1 shortcuts
    assert [by_name[s].dilations for s in stages] == [(1,), (1,), (1,), (2,), (2,)]
    assert by_name["bin 3"].shape == (128, 3, 3)
    assert by_name["decoder"].shape == (5, 9, 13)
    assert by_name["stage 3"].field.size == (55, 55)


def test_a_module_that_runs_twice_counts_once():
    network = small("resnet18")
    every = trace_layers(network, size=SIZE, training_only=True)
    layers = [layer for layer in every if layer.name.endswith("layer1.0.relu")]
    assert len(layers) == 2
    assert [layer.field.size[0] for layer in layers] == [19, 27]  # of a stem of 11
    flops = sum(layer.flops for layer in every)
    block = network.encoder.layer1[1]
    block.bn2 = block.bn1
    shared = trace_layers(network, size=SIZE, training_only=True)
    assert sum(layer.parameters for layer in shared) == count_parameters(network)
    assert sum(layer.flops for layer in shared) == flops


class Gate(nn.Module):
    """A module with parameters, children and a matrix product of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.matrix = nn.Sigmoid(), nn.Parameter(torch.randn(5, 5))

    def forward(self, x):
        return self.inner(torch.einsum("oc,nchw->nohw", self.matrix, x))


class Gated(PSPNet):
    """A network with a forward of its own, which calls layers one by one and multiplies itself."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.gate = Gate()

    def forward(self, image, upsample=True):
        hidden = self.decoder[0](self.pyramid(self.encoder(image)[-1]))
        scores = self.gate(self.decoder[1:](hidden))
        return scores.flatten(2) @ torch.eye(scores[0, 0].numel(), device=scores.device)


def test_edits_are_in_the_table():
    network = Gated(5, encoder="tu-resnet10n", decoder_channels=16, bins=(1, 3)).eval()
    network.decoder[0] = nn.Sequential(
        nn.Conv2d(512, 512, 3, padding=2, dilation=2, groups=512), nn.Conv2d(512, 16, 1)
    )
    torch.nn.utils.parametrizations.spectral_norm(network.decoder[4])
    layers = {layer.name: layer for layer in trace_layers(network, size=SIZE)}
    units = 9 * 13
    assert (layers["decoder.0.0"].flops, layers["decoder.0.0"].dilation) == (2 * 512 * 9 * units, 2)
    assert layers["decoder.0.1"].flops == 2 * 512 * 16 * units
    assert layers["decoder.4"].parameters == 16 * 5 + 5
    assert (layers["gate"].part, layers["gate"].flops) == ("gate", 2 * 25 * units)
    assert layers["gate"].parameters == 25
    assert layers[""].flops == 2 * 5 * units * units  # of the network's own forward
    assert sum(layer.flops for layer in layers.values()) == count_flops(network, size=SIZE)


def test_an_encoder_without_a_list_of_features_is_one_part():
    network = small()

    class Last(nn.Module):
        def __init__(self, encoder) -> None:
            super().__init__()
            self.encoder, self.out_channels = encoder, encoder.out_channels

        def forward(self, image):
            return {"stage 4": self.encoder(image)[-2], "stage 5": self.encoder(image)[-1]}.values()

    before = parts_of(trace_layers(network, size=SIZE))
    network.encoder = Last(network.encoder)
    after = parts_of(trace_layers(network, size=SIZE))
    assert [part.name for part in after] == ["encoder", *[part.name for part in before[5:]]]
    assert after[0].parameters == sum(part.parameters for part in before[:5])
    assert after[0].flops == 2 * sum(part.flops for part in before[:5])  # it runs twice


def test_the_network_is_left_as_it_was():
    network = small().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    trace_layers(network, size=SIZE)
    assert network.training
    assert all(not module._forward_hooks for module in network.modules())
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])


def test_csv_holds_every_layer():
    layers = trace_layers(small(), size=SIZE)
    rows = list(csv.DictReader(StringIO(to_csv(layers))))
    assert [row["layer"] for row in rows] == [layer.name for layer in layers]
    last = rows[-1]
    assert (last["channels"], last["kernel"], last["field_height"]) == ("5", "1×1", "whole")
    first = rows[0]
    assert (first["stride"], first["dilation"], first["field_width"]) == ("2", "1", "3")
    assert sum(int(row["flops"]) for row in rows) == sum(layer.flops for layer in layers)
