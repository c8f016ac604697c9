"""Backbones of mmsegmentation: logits against its computations, and those that are refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from foreign import filled, mmsegmentation, saved
from mmseg_backbones import D32, MobileNetV2, ResNeSt, Segmentor
from references import fill
from torch import Tensor, nn

from pspnet import Dilation, load_published
from pspnet.errors import UserError
from pspnet.models.dropout import Dropout2d

D32_TEXT = (
    "model = dict(backbone=dict(type='ResNet', depth=50, dilations=(1, 1, 2, 4), "
    "strides=(1, 2, 2, 2), contract_dilation=True))"
)
MOBILENET_16 = (
    "model = dict(backbone=dict(type='MobileNetV2', strides=(1, 2, 2, 2, 1, 1, 1), "
    "dilations=(1, 1, 1, 1, 1, 2, 2)))"
)
Backbone = Callable[[], nn.Module]
CASES: dict[str, tuple[Backbone, str, int, str | None]] = {  # encoder, channels, configuration
    "m-v2-d8": (MobileNetV2, "tu-mobilenetv2_100", 16, None),
    "m-v2-d16": (
        lambda: MobileNetV2((1, 2, 2, 2, 1, 1, 1), (1, 1, 1, 1, 1, 2, 2)),
        *("tu-mobilenetv2_100", 16, MOBILENET_16),
    ),
    "r18c-d32": (lambda: D32(18, True), "tu-resnet18c", 128, D32_TEXT),
    "r18b-d32": (lambda: D32(18, False), "resnet18", 128, D32_TEXT),
    "s50-d8": (lambda: ResNeSt((3, 4, 6, 3), 64), "tu-resnest50d", 16, None),
    "r50c-d32": (lambda: D32(50, True), "tu-resnet50c", 512, D32_TEXT),
    "s101-d8": (lambda: ResNeSt((3, 4, 23, 3), 128), "tu-resnest101e", 512, None),
}
SLOW = {"m-v2-d16", "r18b-d32", "s50-d8", "r50c-d32", "s101-d8"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in CASES]
)
def test_logits_are_those_of_mmsegmentation(tmp_path, name):
    """In evaluation mode and in training mode, where batch statistics and both heads count."""
    backbone, encoder, channels, text = CASES[name]
    reference = Segmentor(backbone(), 5, channels)
    fill(reference, seed=1)
    state = reference.state_dict()
    meta = {"CLASSES": [*"abcde"], "config": text}
    network = load_published(saved(tmp_path / "a.pth", state, meta=meta)).network
    assert network.options["encoder"] == encoder
    assert sum(v.numel() for v in network.state_dict().values()) == sum(
        v.numel() for v in state.values()
    )
    for layer in network.modules():
        if isinstance(layer, Dropout2d):
            layer.p = 0
    image = torch.randn(2, 3, 59, 83, generator=torch.Generator().manual_seed(2)).double()
    reference.double(), network.double()
    with torch.no_grad():
        assert_equal(network.eval()(image), reference.eval()(image)[0])
        for ours, theirs in zip(network.train()(image), reference.train()(image), strict=True):
            assert_equal(ours, theirs)


def assert_equal(found: Tensor, expected: Tensor) -> None:
    assert expected.std() > 0.01
    assert (found - expected).abs().max() < 1e-9 * expected.abs().max()


def test_a_stage_can_keep_its_stride_and_be_dilated():
    layout = Dilation((2,), (4,), "half", keep_strides=True)
    assert layout.output_stride == 32
    assert Dilation((2,), (1,), keep_strides=True).output_stride == 32
    with pytest.raises(UserError, match="undoes a dilated stage 4"):
        replace(layout, stage5=(1,), keep_strides=False)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("strides=(1, 2, 2, 2, 1, 1, 1)", "strides=(1, 2, 2, 2, 1, 2, 1)", "not both"),
        ("strides=(1, 2, 2, 2, 1, 1, 1)", "strides=(1, 2, 1, 2, 1, 1, 1)", "last four stages"),
        ("strides=(1, 2, 2, 2, 1, 1, 1)", "strides=(1, 2, 2, 2, 2, 1, 1)", "last four stages"),
        ("dilations=(1, 1, 1,", "dilations=(1, 1, 2,", "last four stages"),
        ("dilations=(1, 1, 1, 1, 1, 2, 2)", "dilations=(1, 1, 2, 4)", "seven numbers each"),
        ("type='MobileNetV2'", "act_cfg=dict(type='ReLU')", "only ReLU6"),
    ],
)
def test_other_layouts_of_mobilenet_are_refused(tmp_path, old, new, reason):
    state = Segmentor(MobileNetV2(), 5, 8).state_dict()
    assert old in MOBILENET_16
    meta = {"config": MOBILENET_16.replace(old, new)}
    assert reason in refused(saved(tmp_path / "a.pth", state, meta=meta))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("avg_down_stride=False", "strides without pooling"),
        ("style='caffe'", "strides without pooling"),
        ("contract_dilation=False", "of a ResNeSt, dilations 2 and 4 with contract_dilation"),
        ("dilations=(1, 1, 2, 2)", "of a ResNeSt, dilations 2 and 4 with contract_dilation"),
        ("strides=(1, 2, 2, 2)", "of a ResNeSt, dilations 2 and 4 with contract_dilation"),
    ],
)
def test_other_layouts_of_resnest_are_refused(tmp_path, said, reason):
    with torch.device("meta"):
        network = Segmentor(ResNeSt((3, 4, 6, 3), 64), 5, 8)
    state = {key: torch.zeros(()).expand(v.shape) for key, v in network.state_dict().items()}
    meta = {"config": f"_base_ = 'a.py'\nmodel = dict(backbone=dict({said}))"}
    assert reason in refused(saved(tmp_path / "a.pth", state, meta=meta))


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("backbone.encoder.0.0.convs.0.conv.weight", "a U-Net backbone (BasicConvBlock)"),
        ("backbone.stage2.0.branches.0.0.conv1.weight", "an HRNet backbone"),
        ("backbone.downsample_layers.0.0.weight", "a ConvNeXt backbone"),
        ("backbone.patch_embed.projection.weight", "a transformer backbone (patch_embed)"),
        ("backbone.layers.0.0.projection.weight", "a transformer backbone (layers)"),
        ("backbone.branch.0.conv.weight", "an unknown backbone (its first tensor is 'backbone.b"),
    ],
)
def test_a_backbone_without_an_encoder_is_named(tmp_path, key, named):
    heads = {k: v for k, v in filled(mmsegmentation(18, 2), hollow=True).items() if "head" in k}
    line = refused(saved(tmp_path / "a.pth", {key: torch.ones(8, 3, 3, 3), **heads}))
    assert f"has {named}" in line
    assert line.endswith(
        ", which has no encoder here; known are ResNet, ResNetV1c, ResNeSt and MobileNetV2"
    )


def test_a_neck_is_named(tmp_path):
    state = filled(mmsegmentation(18, 2), hollow=True)
    state["neck.conv_layers.0.conv.weight"] = torch.ones(8, 3, 3, 3)
    line = refused(saved(tmp_path / "a.pth", state))
    assert "has a neck between its backbone and its head (JPU), which has no encoder here" in line


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_published(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line
