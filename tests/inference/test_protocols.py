"""Named protocols on the data sets, and overrides of their fields."""

import math

import pytest

from pspnet.errors import UserError
from pspnet.inference.protocols import SIX_SCALES, Protocol, ProtocolOverrides, resolve


def test_named_protocols_follow_the_data_set():
    paper = {"crop_size": (473, 473), "base_size": 512}
    assert resolve("paper-ms", ProtocolOverrides(), **paper) == Protocol(
        "paper-ms", (473, 473), scales=SIX_SCALES, base_size=512, mirror=True
    )
    single = resolve("mmseg-ss", ProtocolOverrides(), crop_size=(512, 512), base_size=512)
    assert single.sizes(375, 500) == [(512, 683)]
    assert single.sizes(1500, 300) == [(2048, 410)]
    street = resolve("mmseg-ss", ProtocolOverrides(), crop_size=(512, 1024), base_size=2048)
    assert (street.sizes(1024, 2048), street.crop_size) == ([(1024, 2048)], None)
    by_windows = resolve("mmseg-ss", ProtocolOverrides(), crop_size=(769, 769), base_size=2048)
    assert by_windows.sizes(1024, 2048) == [(1025, 2049)]
    assert math.ceil(769 * by_windows.stride) == 513
    assert (by_windows.crop_size, by_windows.mirror) == ((769, 769), False)
    assert (by_windows.average, by_windows.scales) == ("scores", (1.0,))
    assert (single.mirror, single.average, single.scales) == (False, "softmax", (1.0,))
    several = resolve("mmseg-ms", ProtocolOverrides(), crop_size=(512, 512), base_size=512)
    assert (several.mirror, several.scales) == (True, SIX_SCALES)
    odd = Protocol("", fit=(2049, 1025), scales=(0.75,))
    assert odd.sizes(1025, 2049) == [(768, 1535)]  # fitted into 1536×768: 1536.75 is rounded down


def test_an_overridden_protocol_says_so():
    overrides = ProtocolOverrides(mirror=False, scales=(1.0,), batch=9)
    protocol = resolve("paper-ss", overrides, crop_size=(9, 9), base_size=512)
    assert protocol.name == "paper-ss, mirror=False"  # scales are equal, `batch` changes no score
    own = resolve("paper-ss", ProtocolOverrides(base_size=0), crop_size=(9, 9), base_size=512)
    assert own.sizes(30, 40) == [(30, 40)]
    assert own.name == "paper-ss, base_size=None"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"crop_size": (0, 5)}, r"inference.crop_size=\[0, 5\]"),
        ({"stride": 0.0}, "inference.stride=0.0"),
        ({"stride": 1.5}, "inference.stride=1.5"),
        ({"fit": (512, 2048)}, r"inference.fit=\[512, 2048\]: .*, long first"),
        ({"fit": (0, 0)}, r"inference.fit=\[0, 0\]"),
        ({"fit": (9, 9), "base_size": 9}, r"inference.fit=\[9, 9\] with inference.base_size=9"),
        ({"scales": ()}, r"inference.scales=\[\]"),
        ({"scales": (1.0, -1.0)}, "inference.scales"),
        ({"base_size": -1}, "inference.base_size=-1"),
        ({"batch": 0}, "inference.batch=0"),
    ],
)
def test_values_out_of_range_are_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        ProtocolOverrides(**overrides)


def test_six_scales_of_769_crops_slide_in_both_versions():
    for name, fit in (("mmseg-ms", (2049, 1025)), ("mmseg-tta", "own")):
        protocol = resolve(name, ProtocolOverrides(), crop_size=(769, 769), base_size=2048)
        assert (protocol.crop_size, protocol.fit) == ((769, 769), fit)
        assert (protocol.rules, protocol.average) == ("mmseg", "softmax")


@pytest.mark.parametrize(
    ("crop", "stride", "expected"),
    [(480, 2 / 3, 320), (769, 2 / 3, 513), (64, 42, 42), (512, 341, 341), (9, 1, 9)],
)
def test_strides_are_shares_or_pixels(crop, stride, expected):
    overrides = ProtocolOverrides(crop_size=(crop, crop), stride=stride)
    protocol = resolve("mmseg-ss", overrides, crop_size=None, base_size=None)
    assert protocol.step(crop) == expected


def test_a_stride_that_leaves_pixels_out_is_refused():
    overrides = ProtocolOverrides(crop_size=(480, 65), stride=66)
    with pytest.raises(UserError, match=r"inference.stride=66: windows of \[480, 65\] pixels"):
        resolve("mmseg-ss", overrides, crop_size=None, base_size=None)


def test_an_override_without_effect_is_refused():
    with pytest.raises(UserError, match=r"inference.stride=0.5: protocol=whole has no"):
        resolve("whole", ProtocolOverrides(stride=0.5), crop_size=None, base_size=None)
    by_windows = resolve(
        "whole", ProtocolOverrides(stride=0.5, crop_size=(9, 9)), crop_size=None, base_size=None
    )
    assert (by_windows.stride, by_windows.crop_size) == (0.5, (9, 9))


def test_every_side_keeps_a_pixel():
    assert Protocol("", scales=(1e-9,)).sizes(30, 40) == [(1, 1)]


def test_windows_need_a_crop_size():
    with pytest.raises(UserError, match="protocol=paper-ss: its windows need crop_size"):
        resolve("paper-ss", ProtocolOverrides(), crop_size=None, base_size=512)
