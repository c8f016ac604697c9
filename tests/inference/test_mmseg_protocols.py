"""mmsegmentation's whole and slide modes and its test-time augmentation, written out in loops."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pspnet import PSPNet
from pspnet.inference.class_scores import evaluate, label_and_confidence
from pspnet.inference.protocols import SIX_SCALES, Protocol, ProtocolOverrides, resolve

CLASSES = 5
CROP, STRIDE = (65, 81), 43
SIZES = {"smaller": (40, 50), "low": (44, 140), "odd": (101, 97), "portrait": (150, 90)}
SLOW = pytest.mark.slow


@pytest.fixture(scope="module", params=[True, False], ids=["corners", "no corners"])
def network(request) -> PSPNet:
    torch.manual_seed(0)
    network = PSPNet(
        CLASSES, encoder="tu-regnetx_002", decoder_channels=16, align_corners=request.param
    ).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
    return network


def picture(*size: int) -> np.ndarray:
    """Colored spots, (H, W, 3) float32 as if normalized."""
    noise = np.random.default_rng(sum(size)).normal(size=(*size, 3)).astype(np.float32)
    return 5 * cv2.GaussianBlur(noise, (0, 0), 3)


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def imrescale(image: np.ndarray, box: tuple[int, int]) -> np.ndarray:
    """mmcv.image.geometric: `box` is fitted by its longer and shorter side."""
    height, width = image.shape[:2]
    factor = min(max(box) / max(height, width), min(box) / min(height, width))
    new = int(width * float(factor) + 0.5), int(height * float(factor) + 0.5)
    return cv2.resize(image, new, interpolation=cv2.INTER_LINEAR)


def encode_decode(network: PSPNet, image: torch.Tensor) -> torch.Tensor:
    """Logits at the size of the image as it is; the network itself takes 32 pixels a side."""
    lack = [max(32 - side, 0) for side in image.shape[2:]]
    top, left = lack[0] // 2, lack[1] // 2
    logits = network(F.pad(image, (left, lack[1] - left, top, lack[0] - top)))
    return logits[:, :, top : top + image.shape[2], left : left + image.shape[3]]


def slide_inference(network: PSPNet, image: torch.Tensor, crop, stride) -> torch.Tensor:
    """mmseg/models/segmentors/encoder_decoder.py, pixel counts and all."""
    height, width = image.shape[2:]
    total = torch.zeros(1, CLASSES, height, width)
    count = torch.zeros(height, width)
    rows = max(height - crop[0] + stride[0] - 1, 0) // stride[0] + 1
    columns = max(width - crop[1] + stride[1] - 1, 0) // stride[1] + 1
    for row in range(rows):
        for column in range(columns):
            bottom = min(row * stride[0] + crop[0], height)
            right = min(column * stride[1] + crop[1], width)
            top, left = max(bottom - crop[0], 0), max(right - crop[1], 0)
            place = (..., slice(top, bottom), slice(left, right))
            total[place] += encode_decode(network, image[place])
            count[place[1:]] += 1
    assert count.min() > 0
    return total / count


def probabilities(network, image, boxes, *, flips=(False,), crop=None, stride=None):
    """Mean of the softmax over boxes and flips, each after its logits are at the image's size."""
    size, found = image.shape[:2], []
    for box in boxes:
        for flip in flips:
            scaled = imrescale(image, box)
            seen = tensor(scaled[:, ::-1] if flip else scaled)
            if crop is None:
                logits = encode_decode(network, seen)
            else:
                logits = slide_inference(network, seen, crop, stride)
            logits = logits.flip(3) if flip else logits
            logits = F.interpolate(
                logits, size=size, mode="bilinear", align_corners=network.align_corners
            )
            found.append(logits.softmax(1))
    return torch.stack(found).mean(0)


def boxes_of_version_0(fit: tuple[int, int], ratios=SIX_SCALES) -> list[tuple[int, int]]:
    return [(int(fit[0] * ratio), int(fit[1] * ratio)) for ratio in ratios]


def boxes_of_version_1(size: tuple[int, int], ratios=SIX_SCALES) -> list[tuple[int, int]]:
    height, width = size
    return [(int(width * r + 0.5), int(height * r + 0.5)) for r in ratios]


def check(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-5)
    ordered = expected.sort(dim=1).values
    clear = ordered[:, -1] - ordered[:, -2] > 1e-4
    assert torch.equal(found.argmax(1)[clear], expected.argmax(1)[clear])
    assert clear.float().mean() > 0.98


ONE_ROW = {"one row": (1, 90), "one column": (90, 1)}


@pytest.mark.parametrize("size", [*SIZES.values(), *ONE_ROW.values()], ids=[*SIZES, *ONE_ROW])
@torch.no_grad()
def test_windows_slide_as_in_mmsegmentation(network, size):
    image, fit = picture(*size), (150, 120)
    changes = ProtocolOverrides(crop_size=CROP, stride=STRIDE, fit=fit)
    protocol = resolve("mmseg-ss", changes, crop_size=(512, 512), base_size=512)
    assert protocol.name == "mmseg-ss, crop_size=(65, 81), stride=43, fit=(150, 120)"
    expected = probabilities(network, image, [fit], crop=CROP, stride=(STRIDE, STRIDE))
    check(evaluate(network, tensor(image), protocol), expected)


@pytest.mark.parametrize("size", [SIZES["low"], *ONE_ROW.values()], ids=["low", *ONE_ROW])
@torch.no_grad()
def test_whole_images_are_evaluated_as_they_are(network, size):
    image, fit = picture(*size), (150, 120)
    protocol = resolve("mmseg-ss", ProtocolOverrides(fit=fit), crop_size=None, base_size=512)
    check(evaluate(network, tensor(image), protocol), probabilities(network, image, [fit]))
    own = resolve("mmseg-ss", ProtocolOverrides(base_size=0), crop_size=None, base_size=512)
    check(evaluate(network, tensor(image), own), probabilities(network, image, [size]))


@pytest.mark.parametrize(
    ("size", "ratios"),
    [
        pytest.param(SIZES["low"], (0.75, 1.25), id="two ratios"),
        *(pytest.param(size, SIX_SCALES, id=name, marks=SLOW) for name, size in SIZES.items()),
    ],
)
@pytest.mark.parametrize("crop", [None, CROP], ids=["whole", "slide"])
@torch.no_grad()
def test_several_scales_of_both_versions(network, size, ratios, crop):
    image, stride = picture(*size), (44, 54)  # 2/3
    for name, fit, boxes in (
        ("mmseg-ms", (150, 120), boxes_of_version_0((150, 120), ratios)),
        ("mmseg-tta", None, boxes_of_version_1(size, ratios)),
    ):
        changes = ProtocolOverrides(crop_size=crop, batch=3, fit=fit, scales=ratios)
        protocol = resolve(name, changes, crop_size=(512, 512), base_size=512)
        flips = (False, True)
        expected = probabilities(network, image, boxes, flips=flips, crop=crop, stride=stride)
        check(evaluate(network, tensor(image), protocol), expected)
        label, certain = label_and_confidence(network, tensor(image), protocol)
        torch.testing.assert_close(certain, expected.amax(1), rtol=0, atol=3e-5)
        assert (label.long() == expected.argmax(1)).float().mean() > 0.99


@SLOW
@torch.no_grad()
def test_networks_of_769_slide_over_six_scales(network):
    """The published size, on an image that is smaller than the window at most of the scales."""
    image = picture(60, 100)
    protocol = resolve("mmseg-tta", ProtocolOverrides(), crop_size=(769, 769), base_size=2048)
    assert protocol.crop_size == (769, 769)
    expected = probabilities(
        network,
        image,
        boxes_of_version_1((60, 100)),
        flips=(False, True),
        crop=(769, 769),
        stride=(513, 513),
    )
    check(evaluate(network, tensor(image), protocol), expected)


def test_the_sizes_of_both_versions():
    """The published 2048×512 by its factors, and the image by the same factors."""
    for size in ((375, 500), (333, 500), (101, 67), (1, 400), (683, 512)):
        for name, boxes in (
            ("mmseg-ms", boxes_of_version_0((2048, 512))),
            ("mmseg-tta", boxes_of_version_1(size)),
        ):
            protocol = resolve(name, ProtocolOverrides(), crop_size=(512, 512), base_size=512)
            assert (protocol.scales, protocol.mirror) == (SIX_SCALES, True)
            picture = np.zeros((*size, 3), np.float32)
            expected = []
            for box in boxes:
                if min(box) == 0:  # mmcv refuses; a pixel is left here
                    expected.append((max(1, round(size[0] * 0.5)), max(1, round(size[1] * 0.5))))
                else:
                    expected.append(imrescale(picture, box).shape[:2])
            assert protocol.sizes(*size) == expected


@pytest.mark.parametrize("average", ["softmax", "scores"])
@pytest.mark.parametrize("mirror", [False, True])
def test_logits_are_averaged_over_windows_and_the_rest_as_it_says(mirror, average):
    protocol = Protocol("", CROP, mirror=mirror, average=average, rules="mmseg", scales=(1.0, 2.0))
    slides = [(0, False), (0, True), (1, False), (1, True)]
    assert protocol.slides == (slides if mirror else slides[::2])
    assert protocol.averages_slides == (average == "softmax")
    assert not protocol.mirrors_windows
