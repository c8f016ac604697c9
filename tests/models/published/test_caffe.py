"""Reader of the authors' Caffe release, on files written here in its wire format."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from caffemodel import BINS, Blobs, caffe, caffe_blobs, caffe_file, message, varint
from foreign import Shapes

from pspnet import Dilation, PublishedNetwork, load_published
from pspnet.errors import UserError
from pspnet.models.encoder import build_encoder

RGB_MEAN = (123.68, 116.779, 103.939)
STEM = ("conv1_1_3x3_s2", "conv1_2_3x3", "conv1_3_3x3")
PARTS = ("1x1_reduce", "3x3", "1x1_increase")
REORDERED = {"encoder.model.conv1.0.weight", "decoder.0.weight"}


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Iterator[tuple[Path, Blobs, PublishedNetwork]]:
    """A PSPNet50 of 150 classes with its stride in 1×1 convolutions: file, blobs, network."""
    blobs = caffe_blobs(caffe(50, 150))
    path = tmp_path_factory.mktemp("caffe") / "pspnet50_ADE20K.caffemodel"
    path.write_bytes(caffe_file(blobs))
    yield path, blobs, load_published(path)
    path.unlink()  # some hundred MB, which pytest would keep


def units() -> dict[str, tuple[str, str]]:
    """Our convolution and BN of each layer of PSPNet50 that has both."""
    stem = zip(STEM, ((0, "1"), (3, "4"), (6, None)), strict=True)
    named = {}
    for layer, (place, norm) in stem:
        bn = f"conv1.{norm}" if norm else "bn1"
        named[layer] = (f"encoder.model.conv1.{place}", f"encoder.model.{bn}")
    for stage, count in enumerate((3, 4, 6, 3), start=1):
        for block in range(count):
            layer, ours = f"conv{stage + 1}_{block + 1}", f"encoder.model.layer{stage}.{block}"
            for place, part in enumerate(PARTS, start=1):
                named[f"{layer}_{part}"] = (f"{ours}.conv{place}", f"{ours}.bn{place}")
            if block == 0:
                named[f"{layer}_1x1_proj"] = (f"{ours}.downsample.0", f"{ours}.downsample.1")
    for level, side in enumerate(BINS):
        ours = f"pyramid.levels.{level}"
        named[f"conv5_3_pool{side}_conv"] = (f"{ours}.0", f"{ours}.1")
    return {
        **named,
        "conv5_4": ("decoder.0", "decoder.1"),
        "conv4_7": ("auxiliary.0", "auxiliary.1"),
    }


def test_every_blob_has_its_place(release):
    _, blobs, published = release
    expected: dict[str, np.ndarray] = {}
    for layer, (convolution, norm) in units().items():
        expected[f"{convolution}.weight"] = blobs[layer][0]
        names = ("weight", "bias", "running_mean", "running_var")
        for part, array in zip(names, blobs[f"{layer}/bn"], strict=True):
            expected[f"{norm}.{part}"] = array.reshape(-1)
    for layer, ours in (("conv6", "decoder.4"), ("conv6_1", "auxiliary.4")):
        expected[f"{ours}.weight"], expected[f"{ours}.bias"] = blobs[layer]
    assert len(expected) == sum(len(arrays) for arrays in blobs.values())
    own = published.network.state_dict()
    counters = {key for key in own if key.endswith("num_batches_tracked")}
    assert own.keys() - counters == expected.keys()
    moved = (key for key in expected if key not in REORDERED)
    assert all(np.array_equal(own[key].numpy(), expected[key]) for key in moved)
    assert {int(own[key]) for key in counters} == {0}
    for key in REORDERED:  # no value lost
        assert np.array_equal(np.sort(own[key].numpy(), None), np.sort(expected[key], None))


def test_the_first_convolution_takes_rgb(release):
    _, blobs, published = release
    pixels = torch.randint(0, 256, (1, 3, 33, 33), generator=torch.Generator().manual_seed(0))
    rgb = pixels.float()
    bgr = rgb.flip(1) - torch.tensor(RGB_MEAN[::-1]).view(1, 3, 1, 1)
    weight = torch.from_numpy(blobs["conv1_1_3x3_s2"][0])
    expected = F.conv2d(bgr, weight, stride=2, padding=1)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (published.mean, published.std))
    with torch.no_grad():
        found = published.network.encoder.model.conv1[0]((rgb / 255 - mean) / std)
    assert torch.allclose(found, expected, rtol=0, atol=1e-5 * expected.abs().max())


def test_the_convolution_after_the_pyramid_takes_ascending_bins(release):
    _, blobs, published = release
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 2048, 5, 5, generator=generator)
    levels = {side: torch.randn(1, 512, 5, 5, generator=generator) for side in BINS}
    concatenated = torch.cat([features, levels[6], levels[3], levels[2], levels[1]], dim=1)
    expected = F.conv2d(concatenated, torch.from_numpy(blobs["conv5_4"][0]), padding=1)
    with torch.no_grad():
        ascending = torch.cat([features, *(levels[side] for side in BINS)], dim=1)
        found = published.network.decoder[0](ascending)
    assert torch.allclose(found, expected, rtol=0, atol=1e-5 * expected.abs().max())


def test_what_comes_with_the_release(release):
    _, _, published = release
    assert (published.format, published.crop_size) == ("caffe", (473, 473))
    assert published.mean == pytest.approx([value / 255 for value in RGB_MEAN])
    assert published.std == (1 / 255,) * 3
    options = published.network.options
    assert (options["encoder"], options["align_corners"]) == ("tu-resnet50s", True)
    assert (options["num_classes"], options["bins"]) == (150, [1, 2, 3, 6])
    encoder = published.network.encoder.model
    block = encoder.layer2[0]
    assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))
    assert [block.conv2.dilation for block in encoder.layer3] == [(2, 2)] * 6
    assert [block.conv2.dilation for block in encoder.layer4] == [(4, 4)] * 3


@pytest.mark.slow
def test_an_encoder_takes_its_part(release):
    path, _, published = release
    own = build_encoder("tu-resnet50s", weights=str(path), dilation=Dilation()).state_dict()
    whole = published.network.encoder.state_dict()
    assert own.keys() == whole.keys()
    assert all(torch.equal(own[key], whole[key]) for key in whole)


def test_the_101s_with_shapes_of_four_numbers(tmp_path):
    path = tmp_path / "pspnet101_cityscapes.caffemodel"
    blobs = caffe_blobs(caffe(101, 19, auxiliary=False), hollow=True)
    path.write_bytes(caffe_file(blobs, stride_in_1x1=False, legacy=True))
    published = load_published(path, 19)
    path.unlink()
    assert (published.crop_size, published.network.auxiliary) == ((713, 713), None)
    assert published.network.options["encoder"] == "tu-resnet101s"
    block = published.network.encoder.model.layer2[0]
    assert (block.conv1.stride, block.conv2.stride) == ((1, 1), (2, 2))


def refused(path: Path, content: bytes, **options: object) -> str:
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_published(path, **options)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


def narrow(shapes: Shapes) -> Shapes:
    """The same layers with one input channel a convolution, but for the first."""
    for name, shape in shapes:
        keep = name.endswith("/bn") or name == "conv1_1_3x3_s2"
        yield name, shape if keep else (shape[0], 1, *shape[2:])


def test_layers_that_do_not_fit_are_refused_by_name(tmp_path):
    path, good = tmp_path / "a.caffemodel", caffe_blobs(narrow(caffe(50, 21)), hollow=True)
    for missing in ("conv4_3_3x3/bn", "conv5_3_pool3_conv", "conv6"):
        rest = {name: arrays for name, arrays in good.items() if name != missing}
        assert f"lacks '{missing}.weight'" in refused(path, caffe_file(rest))
    more = {**good, "fc1000": [np.zeros((2, 8), np.float32)]}
    assert "holds 'fc1000.weight', which a PSPNet of caffe lacks" in refused(path, caffe_file(more))
    content = caffe_file(good)
    assert "has 21 classes, not num_classes=150" in refused(path, content, num_classes=150)
    assert "says bins=[1, 2, 3, 6], not [1, 2]" in refused(path, content, bins=(1, 2))
    line = refused(path, content)
    assert "'conv1_2_3x3.weight' is (64, 1, 3, 3), not (64, 64, 3, 3)" in line
    assert "truncated" in refused(path, content[: len(content) // 2])


def test_other_files_are_refused(tmp_path):
    path, first = tmp_path / "a.caffemodel", {"conv3_1_3x3": [np.ones((2, 3, 1, 1), np.float32)]}
    assert "not a readable .caffemodel" in refused(path, b"\xffnothing")
    assert "an empty file" in refused(path, b"")
    assert "no layer has weights" in refused(path, message(1, b"net"))
    nameless = message(100, message(1, b"conv\xff"))
    line = refused(path, caffe_file(first) + nameless)
    assert "not a readable .caffemodel: a layer's name is not UTF-8" in line
    assert "Caffe's first format" in refused(path, caffe_file(first, field=2))
    three = {"scale": [np.ones(1, np.float32)] * 3}
    assert "layer 'scale' has 3 blobs" in refused(path, caffe_file(three))
    short = message(7, message(1, varint(2) + varint(3))) + message(5, bytes(20))
    layer = message(1, b"conv6") + message(7, short)
    line = refused(path, message(100, layer))
    assert "weight of layer 'conv6' is 2×3, and has 5 numbers" in line


def test_other_strides_and_dilations_are_refused(tmp_path):
    path, weight = tmp_path / "a.caffemodel", np.ones((2, 2, 1, 1), np.float32)
    line = refused(path, caffe_file({"conv2_1_3x3": [weight]}))
    assert "the convolutions of stride 2 are []" in line

    def layer(name: str, parameters: bytes) -> bytes:
        return message(100, message(1, name.encode()) + message(106, parameters))

    good = caffe_file({"conv3_1_1x1_reduce": [weight]})
    wrong = layer("conv5_1_3x3", varint(17 << 3) + varint(2))
    assert "conv5_1_3x3 is dilated by 2, not 4" in refused(path, good + wrong)
    wrong = layer("conv4_1_3x3", varint(6 << 3) + varint(2))
    assert "['conv3_1_1x1_reduce', 'conv4_1_3x3']" in refused(path, good + wrong)
