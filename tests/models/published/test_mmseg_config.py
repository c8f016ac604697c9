"""Settings read from the configuration in a checkpoint of mmsegmentation."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from foreign import filled, mmsegmentation, saved

from pspnet import Dilation, load_published
from pspnet.errors import UserError
from pspnet.models.published.mmseg_config import Windows, read_settings
from pspnet.models.published.mmseg_layout import Backbone

D8 = """
crop_size = (512, 512)
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='ResNetV1c', depth=18, dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1),
        norm_cfg=norm_cfg, style='pytorch', contract_dilation=True),
    decode_head=dict(type='PSPHead', pool_scales=(1, 2, 3, 6), align_corners=False),
    auxiliary_head=dict(type='FCNHead', align_corners=False))
img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
"""
STRIDES, DILATIONS = "strides=(1, 2, 1, 1)", "dilations=(1, 1, 2, 4)"
D32 = "strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1)"
PUBLISHED = Dilation((2,), (4,), "half")


def d8(*changes: tuple[str, str]) -> str:
    text = D8
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("key", ["config", "cfg"])
def test_the_network_is_the_configurations(tmp_path, key):
    state = filled(mmsegmentation(18, 3), hollow=True)
    aligned = ("align_corners=False", "align_corners=True")
    text = d8(aligned, ("(512, 512)", "(769, 769)"), ("(1, 2, 3, 6)", "(1, 2, 4, 8)"))
    meta = {key: text, "dataset_meta": {"classes": ("a", "b", "c")}}
    published = load_published(saved(tmp_path / "a.pth", state, meta=meta))
    assert published.network.align_corners is True
    assert published.network.pyramid.bins == (1, 2, 4, 8)
    assert (published.crop_size, published.class_names) == ((769, 769), ("a", "b", "c"))
    again = load_published(tmp_path / "a.pth", align_corners=False)
    assert again.network.align_corners is False


def test_mean_and_std_are_the_configurations():
    text = d8(("123.675", "127.5"), ("57.375", "51"), ("(512, 512)", "(512, 1024)"))
    settings = read_settings({"config": text})
    assert settings.mean == (0.5, 0.456, 0.406)
    assert settings.std == (0.229, 0.224, 0.2)
    assert settings.crop_size == (512, 1024)
    one = d8(("(512, 512)", "769"))
    assert read_settings({"config": one}).crop_size == (769, 769)
    unscaled = d8(("[123.675, 116.28, 103.53]", "[0, 0, 255.0]"), ("[58.395, ", "[255, "))
    settings = read_settings({"config": unscaled})
    assert (settings.mean, settings.std[0]) == ((0, 0, 1), 1)
    renamed = d8(("img_norm_cfg", "data_preprocessor"), ("to_rgb", "bgr_to_rgb"), ("57.12", "51"))
    assert read_settings({"cfg": renamed}).std == (0.229, 0.2, 0.225)


@pytest.mark.parametrize(
    ("text", "dilation"),
    [
        (D8, PUBLISHED),
        (d8(("contract_dilation=True", "contract_dilation=False")), Dilation()),
        (d8((", contract_dilation=True", "")), Dilation()),  # the default of its ResNet
        (d8((STRIDES, D32), (f" {DILATIONS},", "")), Dilation((1,), (1,), "half")),
        (
            d8((STRIDES, "strides=(1, 2, 2, 1)"), (DILATIONS, "dilations=(1, 1, 1, 2)")),
            Dilation((1,), (2,), "half"),
        ),
        (d8((DILATIONS, "dilations=(1, 1, 1, 1)")), Dilation((1, 1), (1, 1), "half")),
        (
            d8(("style='pytorch'", "style='caffe'")),
            Dilation(first_block="half", stride_in_1x1=True),
        ),
        (d8((STRIDES, "strides=(1, 2, 2, 2)")), replace(PUBLISHED, keep_strides=True)),
        # what a file does not say it inherits from the D8 networks
        ("_base_ = 'x.py'\nmodel = dict(backbone=dict(depth=18))", PUBLISHED),
        (f"_base_ = 'x.py'\nmodel = dict(backbone=dict({D32}))", Dilation((1,), (1,), "half")),
        ("checkpoint_config = dict(interval=4000)", PUBLISHED),
        # mmcv's older text: each file's path before its source, the bases first
        (
            f"/x/r50.py\n{D8}/x/y-z.py\n_base_ = 'r50.py'\nmodel = dict(backbone=dict({D32}))",
            Dilation((1,), (1,), "half"),
        ),
        # braces and lists
        ("model = {'backbone': {'strides': [1, 2, 1, 1], 'dilations': [1, 1, 2, 4]}}", Dilation()),
    ],
)
def test_the_dilation_is_the_configurations(text, dilation):
    assert read_settings({"config": text}).dilation == dilation


@pytest.mark.parametrize(
    ("test_cfg", "windows"),
    [
        ("dict(mode='slide', crop_size=256, stride=170)", Windows((256, 256), (170, 170))),
        ("dict(mode='slide', crop_size=(96, 128), stride=(64, 80))", Windows((96, 128), (64, 80))),
        ("dict(mode='whole')", Windows()),
        ("dict(mode='slide', crop_size=256)", None),
        ("dict(mode='slide', crop_size=256, stride=0)", None),
        ("dict(mode='slide', crop_size=True, stride=(1, 2, 3))", None),
        ("dict(type='TestLoop')", None),
        ("'whole'", None),
    ],
)
def test_the_test_is_the_configurations(test_cfg, windows):
    assert read_settings({"config": f"model = dict(test_cfg={test_cfg})"}).tested_by == windows
    assert read_settings({"config": f"test_cfg = {test_cfg}"}).tested_by == windows


@pytest.mark.parametrize(
    ("palette", "colors"),
    [
        ([[1, 2, 3], (0, 255, 9)], ((1, 2, 3), (0, 255, 9))),
        ([], None),
        ("abc", None),
        ([[1, 2, 3], None], None),
        ([[1, 2, 3], [1, 2]], None),
        ([[1, 2, 3], [1, 2, 256]], None),
        ([[1, 2, 3], [1, 2, True]], None),
        ({1: [1, 2, 3]}, None),
    ],
)
def test_colors_are_the_palettes_or_none(palette, colors):
    assert read_settings({"PALETTE": palette}).class_colors == colors
    assert read_settings({"dataset_meta": {"palette": palette}}).class_colors == colors


def test_a_file_adds_to_the_files_that_it_inherits_from():
    base = d8(("align_corners=False", "align_corners=True"), ("(1, 2, 3, 6)", "(1, 2)"))
    text = f"{base}\n_base_ = 'r50.py'\nmodel = dict(decode_head=dict(pool_scales=(1, 3)))"
    settings = read_settings({"config": text})
    assert (settings.align_corners, settings.bins) == (True, (1, 3))


def test_basic_blocks_dilate_one_convolution_and_know_no_caffe_style():
    text = d8(("style='pytorch'", "style='caffe'"))
    dilation = read_settings({"config": text}, Backbone(bottleneck=False)).dilation
    assert dilation == Dilation(first_block="half", convolutions="first")


@pytest.mark.parametrize(
    "meta",
    [
        None,
        {},
        {"config": None},
        {"CLASSES": None, "iter": 80000},
        {name: torch.zeros(2) for name in ("config", "cfg", "CLASSES", "PALETTE")},
    ],
)
def test_without_a_configuration_it_is_the_published_one(meta):
    settings = read_settings(meta)
    assert (settings.dilation, settings.align_corners) == (PUBLISHED, False)
    assert (settings.bins, settings.crop_size, settings.class_names) == (None, None, None)
    assert (settings.mean, settings.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_configuration_is_not_run(tmp_path):
    witness = tmp_path / "ran"
    text = f"import os\nopen({str(witness)!r}, 'w')\n{D8}\ncrop_size = os.system('touch {witness}')"
    settings = read_settings({"config": text})
    assert settings.dilation == PUBLISHED
    assert not witness.exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("model = dict(", "is not Python source"),
        ("x = 1\0", "is not Python source"),
        (d8((STRIDES, "strides=(1, 2, 1, 2)")), "one stage keeps its stride and is dilated"),
        (d8((STRIDES, "strides=(2, 2, 1, 1)")), "only the last two stages"),
        (d8((DILATIONS, "dilations=(1, 2, 2, 4)")), "only the last two stages"),
        (d8((DILATIONS, "dilations=(1, 1, 4)")), "four numbers each"),
        (d8((STRIDES, "strides=None")), "four numbers each"),
        (d8(("depth=18", "multi_grid=(1, 2, 4)")), "multi_grid="),
        (d8(("to_rgb=True", "to_rgb=False")), "images are BGR"),
        (
            d8(("[123.675, ", "[")),
            r"mean of the images is \(116.28, 103.53\), not three",
        ),
        (d8(("123.675", "'a'")), "mean of the images is .*not three numbers of 0 to 255"),
        (d8(("123.675", "None")), "mean of the images is .*not three numbers of 0 to 255"),
        (d8(("123.675", "True")), "mean of the images is .*not three numbers of 0 to 255"),
        (d8(("123.675", "1000")), "mean of the images is .*not three numbers of 0 to 255"),
        (d8(("[123.675, 116.28, 103.53]", "0")), "mean of the images is 0, not three numbers"),
        (d8(("58.395", "'a'")), "std of the images is .*not three numbers above 0"),
        (d8(("58.395", "0")), "std of the images is .*not three numbers above 0"),
        (d8(("58.395", "1e999")), "std of the images is .*not three numbers above 0"),
        (d8(("(512, 512)", "(512, 0)")), r"crop_size=\(512, 0\): one or two sides of 1 pixel"),
        (d8(("(512, 512)", "(512, 512, 3)")), "one or two sides of 1 pixel or more are known"),
        (d8(("(1, 2, 3, 6)", "(1, 2, 3)")), r"has 4 pyramid levels, not bins=\[1, 2, 3\]"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(tmp_path: Path, text, line):
    state = filled(mmsegmentation(18, 3), hollow=True)
    path = saved(tmp_path / "a.pth", state, meta={"config": text})
    with pytest.raises(UserError, match=line) as caught:
        load_published(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
