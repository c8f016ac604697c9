"""Encoders that take their part of a published network's file."""

from pathlib import Path

import pytest
import torch
from foreign import filled, from_mmsegmentation, from_semseg, mmsegmentation, saved, semseg
from torch import nn

from pspnet import Dilation, PSPNet
from pspnet.errors import UserError
from pspnet.models.encoder import build_encoder


def encoder(name: str, path: Path) -> nn.Module:
    return build_encoder(name, weights=str(path), dilation=Dilation())


@pytest.mark.parametrize(
    ("v1c", "name"),
    [
        (True, "tu-resnet18c"),
        pytest.param(False, "resnet18", marks=pytest.mark.slow),
        pytest.param(False, "tu-resnet18", marks=pytest.mark.slow),
    ],
)
def test_an_encoder_takes_its_part_of_mmsegmentation(tmp_path, v1c, name):
    state = filled(mmsegmentation(18, 3, v1c=v1c))
    own = encoder(name, saved(tmp_path / "a.pth", state)).state_dict()
    expected = {
        from_mmsegmentation(key).removeprefix("encoder.").removeprefix("model."): value
        for key, value in state.items()
        if key.startswith("backbone.")
    }
    assert {key.removeprefix("model.") for key in own} == expected.keys()
    assert all(torch.equal(v, expected[k.removeprefix("model.")]) for k, v in own.items())


def test_an_encoder_takes_its_part_of_semseg(tmp_path):
    state = filled(semseg(50))
    path = saved(tmp_path / "a.pth", state)
    own = encoder("tu-resnet50s", path).state_dict()
    path.unlink()  # some hundred MB, which pytest would keep
    expected = {from_semseg(key): value for key, value in state.items()}
    assert all(torch.equal(value, expected[f"encoder.{key}"]) for key, value in own.items())


def test_an_encoder_takes_its_part_of_a_run(tmp_path):
    network = PSPNet(2, "tu-regnetx_002")
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    own = encoder("tu-regnetx_002", saved(tmp_path / "a.ckpt", state)).state_dict()
    assert all(torch.equal(own[k], v) for k, v in network.encoder.state_dict().items())


@pytest.mark.parametrize(
    ("depth", "name", "line"),
    [
        (50, "tu-resnet101s", r"lacks 'layer3\.6\.conv1\.weight'"),
        (101, "tu-resnet50s", r"holds 'layer3\.6\.conv1\.weight', which this encoder lacks"),
        (50, "tu-resnet50c", r"'layer0\.0\.weight' is \(64, 3, 3, 3\), not \(32, 3, 3, 3\)"),
        (50, "resnet50", r"lacks 'conv1\.weight'"),
    ],
)
def test_an_encoder_refuses_the_weights_of_another(tmp_path, depth, name, line):
    path = saved(tmp_path / "a.pth", filled(semseg(depth), hollow=True))
    with pytest.raises(UserError, match=line):
        encoder(name, path)
