"""The maps of a walk are those of the pass that the protocol runs, computed a second time here."""

import math

import pytest
import torch
import torch.nn.functional as F
from edits import EDITS, plain
from edits import network as unedited
from torch import nn

from pspnet import Dilation, PSPNet
from pspnet.errors import UserError
from pspnet.inference.class_scores import evaluate
from pspnet.inference.protocols import ProtocolOverrides, resolve
from pspnet.tools.explain.pyramid_parts import ONE_PASS
from pspnet.tools.explain.walk.record import walk


def image(height: int, width: int) -> torch.Tensor:
    return torch.randn(3, height, width, generator=torch.Generator().manual_seed(0))


def protocol(name: str, **overrides):
    return resolve(name, ProtocolOverrides(**overrides), crop_size=(33, 33), base_size=None)


def pooled(features: torch.Tensor, side: int, pool: str) -> torch.Tensor:
    """Pool (C, h, w) cell by cell, from the definition of the cells."""
    height, width = features.shape[1:]
    cells = torch.zeros(len(features), side, side, dtype=features.dtype)
    for r in range(side):
        for c in range(side):
            rows = slice(r * height // side, -(-(r + 1) * height // side))
            columns = slice(c * width // side, -(-(c + 1) * width // side))
            cell = features[:, rows, columns].flatten(1)
            cells[:, r, c] = cell.mean(1) if pool == "average" else cell.amax(1)
    return cells


SLOW = pytest.mark.slow
OPTIONS = {
    "average": {},
    "max": {"bins": (2, 5), "pool": "max", "reduce": False, "align_corners": False},
    "stride 32": {"dilation": Dilation((1,), (1,)), "encoder": "tu-regnetx_002"},
    "vgg": {"encoder": "vgg16_bn"},
    "lite0": {"encoder": "tu-tf_efficientnet_lite0"},
    "convnext": {"encoder": "tu-convnext_atto"},
}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(x, id=k, marks=[SLOW] * (k not in ("average", "max")))
        for k, x in OPTIONS.items()
    ],
)
@torch.no_grad()
def test_every_map_is_that_of_the_network(options):
    network, given = unedited(**options).eval(), image(65, 97).double()
    found = walk(network, given, ONE_PASS)
    *_, stage5 = stages = [x[0] for x in network.encoder(given[None])[-5:] if x.numel()]
    assert [*found.stages] == [f"stage {k}" for k in range(6 - len(stages), 6)]
    for maps, expected in zip(found.stages.values(), stages, strict=True):
        torch.testing.assert_close(maps, expected)
    for side, cells in zip(network.pyramid.bins, found.record.pooled, strict=True):
        torch.testing.assert_close(cells, pooled(stage5, side, network.pyramid.pool))
    for level, cells, reduced in zip(
        network.pyramid.levels, found.record.pooled, found.record.levels, strict=True
    ):
        torch.testing.assert_close(reduced, level(cells[None])[0])
    joined = network.pyramid(stage5[None])
    torch.testing.assert_close(torch.cat([*found.outputs.values()]), joined[0])
    torch.testing.assert_close(found.logits, network.decoder(joined)[0])
    full = network.upsample(network.decoder(joined), (65, 97))
    assert torch.equal(found.prediction.long(), full.argmax(1)[0])
    torch.testing.assert_close(found.auxiliary, network.auxiliary(stages[-2][None])[0])
    for name, maps in found.stages.items():
        assert found.parts[name].shape == tuple(maps.shape)
        stride = 2 ** round(math.log2(64 / (maps.shape[1] - 1)))
        assert found.parts[name].field.rows.stride == stride
    assert found.seconds.keys() == {*found.stages, "pyramid and decoder"}
    assert all(value > 0 for value in found.seconds.values())


@torch.no_grad()
def test_the_fused_form_is_followed_and_not_switched_off():
    network, given = unedited().eval(), image(65, 65).double()
    fused = walk(network, given, ONE_PASS)
    assert fused.fused
    assert fused.published_flops > fused.flops
    assert 0 < fused.deviation < 1e-9
    network.fused_pyramid = False
    apart = walk(network, given, ONE_PASS)
    assert not apart.fused
    assert apart.published_flops == apart.flops == fused.published_flops
    assert apart.deviation < 1e-9
    torch.testing.assert_close(fused.logits, apart.logits)


@pytest.mark.parametrize(
    ("name", "size", "passes"),
    [
        pytest.param("paper-ss", (50, 70), 2 * 2 * 3, marks=SLOW),
        ("paper-ss", (20, 70), 2 * 3),
        ("mmseg-ms", (40, 60), 12),
        ("mmseg-ms, slide", (20, 70), 2 * (2 + 3)),
    ],
)
@torch.no_grad()
def test_the_input_is_one_of_the_protocol(name, size, passes):
    """Windows of 33 are 22 apart; where an image is smaller, padding surrounds it."""
    name, _, slides = name.partition(", ")
    changes = {"crop_size": (33, 33), "scales": (0.5, 1.0)} if slides else {}
    rule = protocol(name, batch=2 if slides else 3, **changes)
    network, given = unedited().eval(), image(*size).double()
    inputs = []
    with network.encoder.register_forward_pre_hook(lambda _, x: inputs.extend(x[0])):
        scores = evaluate(network, given[None], rule)
    found = walk(network, given, rule)
    assert found.passes.total == len(inputs) == passes
    assert torch.equal(found.prediction.long(), scores.argmax(1)[0])
    rows, columns = found.passes.windows[found.passes.shown]
    if rule.rules == "mmseg":  # as the image is, to the network's least
        expected = F.pad(given[:, rows, columns], (0, 0, 6, 6) if slides else (0, 0))
    else:
        top = max(0, 33 - size[0]) // 2
        padded = F.pad(given, (0, 0, top, max(0, 33 - size[0]) - top))
        expected = padded[:, rows.start + top : rows.stop + top, columns]
    assert torch.equal(found.input, expected)


class TensorEncoder(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.out_channels = encoder, encoder.out_channels

    def forward(self, x):
        return dict(enumerate(self.encoder(x)))


class NoStages(PSPNet):
    def forward(self, image, upsample=True):
        stages = self.encoder(image)
        logits = self.decoder(self.pyramid(stages[len(stages) - 1]))
        return self.upsample(logits, image.shape[2:]) if upsample else logits


class NoDecoder(PSPNet):
    def forward(self, image, upsample=True):
        return self.encoder(image)[-1][:, :3]


def test_a_network_without_stages_or_logits_is_refused_in_one_line():
    network = unedited(NoStages).eval()
    network.encoder = TensorEncoder(network.encoder)
    with pytest.raises(UserError, match="TensorEncoder returns no list of feature maps"):
        walk(network, image(33, 33).double(), ONE_PASS)
    with pytest.raises(UserError, match="NoDecoder does not call the decoder"):
        walk(unedited(NoDecoder).eval(), image(33, 33).double(), ONE_PASS)


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=[SLOW] * (x != "pyramid_subclass")) for x in EDITS]
)
@torch.no_grad()
def test_an_edit_takes_effect(name):
    network, given = EDITS[name]().eval(), image(65, 65).double()
    expected = plain(network, given[None])[0]
    found = walk(network, given, ONE_PASS)
    assert torch.equal(found.prediction.long(), expected.argmax(0))
    assert found.deviation < 1e-9
    assert not any(module._forward_hooks for module in network.encoder.modules())
