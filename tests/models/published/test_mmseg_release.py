"""The PSPNets of mmsegmentation's release: each of its configurations with published weights.

They are the entries of its configs/{pspnet,mobilenet_v2,resnest,unet,fastfcn}/metafile.yaml whose
head is PSPHead.
"""

from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from foreign import Shapes, classifier, mmsegmentation, unit
from mmseg_backbones import MobileNetV2, ResNeSt, Segmentor
from torch import Tensor

from pspnet import Dilation
from pspnet.errors import UserError
from pspnet.models.published.backbones import family, has_bottlenecks
from pspnet.models.published.infer_options import infer_options
from pspnet.models.published.key_maps import recognize
from pspnet.models.published.load import from_weights
from pspnet.models.published.mmseg_config import Windows, read_settings
from pspnet.models.published.mmseg_layout import Backbone
from pspnet.models.published.weights_file import WeightsFile

D8, D32 = Dilation((2,), (4,), "half"), Dilation((2,), (4,), "half", keep_strides=True)
BASIC_D8 = Dilation((2,), (4,), "half", "first")
RESNEST_D8 = Dilation((2,), (4,), "half", average_pools="none")
MOBILENET_D8 = Dilation((2, 1, 1, 1, 2, 1, 1), (4, 1, 1, 4))
STRIDES, D32_STRIDES = "strides=(1, 2, 1, 1)", "strides=(1, 2, 2, 2)"
RESNET = "dilations=(1, 1, 2, 4), contract_dilation=True, style='pytorch'"
MOBILENET = (
    "strides=(1, 2, 2, 1, 1, 1, 1), dilations=(1, 1, 1, 2, 2, 4, 4), out_indices=(1, 2, 4, 6)"
)


class Kind(NamedTuple):
    """A backbone: its encoder and layout here, or why there is none, and its configuration."""

    encoder: str
    dilation: Dilation | None
    text: str


KINDS = {
    "r18": Kind("tu-resnet18c", BASIC_D8, f"type='ResNetV1c', depth=18, {STRIDES}, {RESNET}"),
    "r50": Kind("tu-resnet50c", D8, f"type='ResNetV1c', depth=50, {STRIDES}, {RESNET}"),
    "r101": Kind("tu-resnet101c", D8, f"type='ResNetV1c', depth=101, {STRIDES}, {RESNET}"),
    "r18b": Kind("resnet18", BASIC_D8, f"type='ResNet', depth=18, {STRIDES}, {RESNET}"),
    "r50b": Kind("resnet50", D8, f"type='ResNet', depth=50, {STRIDES}, {RESNET}"),
    "r101b": Kind("resnet101", D8, f"type='ResNet', depth=101, {STRIDES}, {RESNET}"),
    "r50-d32": Kind("tu-resnet50c", D32, f"type='ResNetV1c', depth=50, {D32_STRIDES}, {RESNET}"),
    "r50b-d32": Kind("resnet50", D32, f"type='ResNet', depth=50, {D32_STRIDES}, {RESNET}"),
    "m-v2": Kind("tu-mobilenetv2_100", MOBILENET_D8, f"type='MobileNetV2', {MOBILENET}"),
    "s101": Kind(
        *("tu-resnest101e", RESNEST_D8),
        f"type='ResNeSt', depth=101, stem_channels=128, radix=2, {STRIDES}, {RESNET}",
    ),
    "unet": Kind("has a U-Net backbone (BasicConvBlock), which has no encoder here", None, ""),
    "jpu": Kind("has a neck between its backbone and its head (JPU)", None, ""),
}


class Configuration(NamedTuple):
    """A configuration of the release."""

    name: str
    kind: str
    classes: int
    crop: tuple[int, int]
    aligned: bool = False
    slide: tuple[int, int] | None = None  # height and width of its test's stride


def of_pspnet() -> Iterator[Configuration]:
    """Yield the 54 entries of configs/pspnet/metafile.yaml."""
    city = ("r50-d8_4xb2-40k", "r101-d8_4xb2-40k", "r18-d8_4xb2-80k", "r50-d8_4xb2-80k")
    city += ("r101-d8_4xb2-80k", "r18b-d8_4xb2-80k", "r50b-d8_4xb2-80k", "r101b-d8_4xb2-80k")
    for name in (*city, "r101-d8_4xb2-amp-80k"):
        kind = name.partition("-d8")[0]
        yield Configuration(f"pspnet_{name}_cityscapes-512x1024", kind, 19, (512, 1024))
    for name in city:
        kind, crop, slide = name.partition("-d8")[0], (769, 769), (513, 513)
        yield Configuration(f"pspnet_{name}_cityscapes-769x769", kind, 19, crop, True, slide)
    for name, kind in (
        ("r50-d8-rsb_4xb2-adamw-80k", "r50b"),
        ("r50-d32_4xb2-80k", "r50-d32"),
        ("r50-d32_rsb_4xb2-adamw-80k", "r50b-d32"),
        ("r50b-d32_4xb2-80k", "r50b-d32"),
    ):
        yield Configuration(f"pspnet_{name}_cityscapes-512x1024", kind, 19, (512, 1024))
    for data, classes, side, kinds, schedules in (
        ("ade20k", 150, 512, ("r50", "r101"), ("80k", "160k")),
        ("voc12aug", 21, 512, ("r50", "r101"), ("20k", "40k")),
        ("pascal-context", 60, 480, ("r101",), ("40k", "80k")),
        ("pascal-context-59", 59, 480, ("r101",), ("40k", "80k")),
        ("coco-stuff10k", 171, 512, ("r50", "r101"), ("20k", "40k")),
        ("coco-stuff164k", 171, 512, ("r50", "r101"), ("80k", "160k", "320k")),
        ("loveda", 7, 512, ("r18", "r50", "r101"), ("80k",)),
        ("potsdam", 6, 512, ("r18", "r50", "r101"), ("80k",)),
        ("vaihingen", 6, 512, ("r18", "r50", "r101"), ("80k",)),
        ("isaid", 16, 896, ("r18", "r50"), ("80k",)),
    ):
        slide = (320, 320) if side == 480 else None
        for kind, schedule in product(kinds, schedules):
            name = f"pspnet_{kind}-d8_4xb4-{schedule}_{data}-{side}x{side}"
            yield Configuration(name, kind, classes, (side, side), slide=slide)


def of_others() -> Iterator[Configuration]:
    """Yield the 16 entries of the other folders whose head is PSPHead."""
    for kind, name in (("m-v2", "mobilenet-v2-d8_pspnet"), ("s101", "resnest_s101-d8_pspnet")):
        yield Configuration(f"{name}_4xb2-80k_cityscapes-512x1024", kind, 19, (512, 1024))
        yield Configuration(f"{name}_4xb4-160k_ade20k-512x512", kind, 150, (512, 512))
    for data, side in (("drive", 64), ("stare", 128), ("chase-db1", 128), ("hrf", 256)):
        for loss in ("", "ce-1.0-dice-3.0-"):
            name = f"unet-s5-d16_pspnet_4xb4-{loss}40k_{data}-{side}x{side}"
            yield Configuration(name, "unet", 2, (side, side))
    for name, classes, crop in (
        ("4xb2-80k_cityscapes-512x1024", 19, (512, 1024)),
        ("4xb4-80k_cityscapes-512x1024", 19, (512, 1024)),
        ("4xb4-80k_ade20k-512x512", 150, (512, 512)),
        ("4xb4-160k_ade20k-512x512", 150, (512, 512)),
    ):
        yield Configuration(f"fastfcn_r50-d32_jpu_psp_{name}", "jpu", classes, crop)


RELEASE = [*of_pspnet(), *of_others()]


def text(configuration: Configuration) -> str:
    """Return the part of the configuration in a file's meta that tells of the network."""
    name, kind, classes, crop, aligned, slide = configuration
    test = (
        f"dict(mode='slide', crop_size={crop}, stride={slide})" if slide else "dict(mode='whole')"
    )
    head = f"type='PSPHead', pool_scales=(1, 2, 3, 6), num_classes={classes}"
    return (
        f"# {name}\ncrop_size = {crop}\nmodel = dict(type='EncoderDecoder',\n"
        f"    backbone=dict({KINDS[kind].text}),\n"
        f"    decode_head=dict({head}, align_corners={aligned}),\n"
        f"    test_cfg={test})\ntest_cfg = dict(type='TestLoop')\n"
    )


def shapes(kind: str, classes: int) -> Shapes:
    """Yield names and shapes of a file's tensors."""
    if kind in ("m-v2", "s101"):
        with torch.device("meta"):
            backbone = MobileNetV2() if kind == "m-v2" else ResNeSt((3, 4, 23, 3), 128)
            network = Segmentor(backbone, classes)
        yield from ((key, tuple(value.shape)) for key, value in network.state_dict().items())
    elif kind == "unet":  # mmseg/models/backbones/unet.py
        name = "backbone.encoder.0.0.convs.0."
        yield from unit(f"{name}conv", f"{name}bn", 3, 64, 3)
        name = "backbone.decoder.0.conv_block.convs.0."
        yield from unit(f"{name}conv", f"{name}bn", 128, 64, 3)
        yield from classifier("decode_head.conv_seg", 16, classes)
    else:
        depth = int("".join(c for c in kind.partition("-")[0] if c.isdigit()) or 50)
        yield from mmsegmentation(depth, classes, v1c="b" not in kind)
        if kind == "jpu":  # mmseg/models/necks/jpu.py
            name = "neck.conv_layers.0."
            yield from unit(f"{name}conv", f"{name}bn", 512, 512, 3)


@cache
def tensors(kind: str, classes: int) -> dict[str, Tensor]:
    """Return a file's tensors, each one number expanded to its shape."""
    found = {key: torch.full((), 0.5).expand(shape) for key, shape in shapes(kind, classes)}
    counted = [key for key in found if key.endswith("num_batches_tracked")]
    return found | dict.fromkeys(counted, torch.tensor(1))


def file(configuration: Configuration) -> WeightsFile:
    state = tensors(configuration.kind, configuration.classes)
    meta = {
        "CLASSES": [f"c{i}" for i in range(configuration.classes)],
        "config": text(configuration),
    }
    return WeightsFile(Path("a.pth"), state, {"meta": meta}, recognize(state))


def test_the_release_is_complete():
    names = [configuration.name for configuration in RELEASE]
    assert len(set(names)) == len(names) == 54 + 2 + 2 + 8 + 4


@pytest.mark.parametrize("configuration", RELEASE, ids=lambda c: c.name)
def test_it_is_an_encoder_of_this_package_or_named(configuration):
    weights, kind = file(configuration), KINDS[configuration.kind]
    if kind.dilation is None:
        with pytest.raises(UserError) as caught:
            from_weights(weights)
        assert kind.encoder in str(caught.value)
        return
    options = infer_options(weights)
    assert options["encoder"] == kind.encoder
    assert options["num_classes"] == configuration.classes
    assert options.get("level_width") == (1.6 if configuration.kind == "m-v2" else None)
    backbone = Backbone(family(weights), has_bottlenecks(weights))
    settings = read_settings(weights.metadata["meta"], backbone)
    assert settings.dilation == kind.dilation
    assert settings.crop_size == configuration.crop
    assert settings.align_corners is configuration.aligned
    windows = Windows(configuration.crop, configuration.slide) if configuration.slide else Windows()
    assert settings.tested_by == windows


@pytest.mark.parametrize("kind", ["r50b-d32", "m-v2", pytest.param("s101", marks=pytest.mark.slow)])
def test_every_tensor_has_its_place(kind):
    configuration = next(c for c in RELEASE if c.kind == kind)
    weights = file(configuration)
    network = from_weights(weights).network
    theirs, own = weights.state, network.state_dict()
    assert len(own) == len(theirs)
    assert sum(v.numel() for v in own.values()) == sum(v.numel() for v in theirs.values())
    assert network.dilation == KINDS[kind].dilation
