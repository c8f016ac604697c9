"""Padding, windows, scales and mirror, against the published procedure in numpy."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from pspnet import Dilation, PSPNet
from pspnet.inference.class_scores import evaluate
from pspnet.inference.protocols import SIX_SCALES, Protocol, ProtocolOverrides, resolve
from pspnet.inference.single_pass import full_logits, pad_centrally
from pspnet.inference.sliding_window import window_starts

CLASSES = 5
CROP = (65, 81)
BASE = 120


@pytest.fixture(scope="module")
def network() -> PSPNet:
    """Random weights that spread the pixels over the classes."""
    torch.manual_seed(0)
    network = PSPNet(CLASSES, encoder="tu-regnetx_002", decoder_channels=16).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
    return network


def picture(*size: int) -> np.ndarray:
    """Colored spots, (H, W, 3) float32 as if normalized."""
    noise = np.random.default_rng(sum(size)).normal(size=(*size, 3)).astype(np.float32)
    return 5 * cv2.GaussianBlur(noise, (0, 0), 3)


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy())[None]


@pytest.mark.parametrize(
    ("size", "multiple", "smallest", "expected", "corner"),
    [
        ((33, 41), 8, 32, (33, 41), (0, 0)),
        ((34, 40), 8, 32, (41, 41), (3, 0)),
        ((20, 50), 8, 32, (33, 57), (6, 3)),
        ((20, 50), 1, 32, (32, 50), (6, 0)),
        ((20, 50), 1, (25, 61), (25, 61), (2, 5)),
        ((375, 500), 8, 32, (377, 505), (1, 2)),
    ],
)
def test_padding_is_central(size, multiple, smallest, expected, corner):
    image = torch.rand(1, 3, *size) + 1
    padded, (top, left) = pad_centrally(image, multiple=multiple, smallest=smallest)
    assert tuple(padded.shape[2:]) == expected
    assert (top, left) == corner
    assert torch.equal(padded[:, :, top : top + size[0], left : left + size[1]], image)
    assert padded.sum() == pytest.approx(image.sum().item(), rel=1e-5)  # the border is 0: the mean


def test_padding_fits_the_output_stride():
    """At stride 32 the corners of the features lie on pixels at 32n + 1 pixels a side only."""
    plain = Dilation(stage4=(1,), stage5=(1,))
    network = PSPNet(2, encoder="tu-regnetx_002", decoder_channels=8, dilation=plain).eval()
    image = torch.randn(1, 3, 41, 65)
    with torch.no_grad():
        padded = network(torch.nn.functional.pad(image, (0, 0, 12, 12)))
        torch.testing.assert_close(full_logits(network, image), padded[:, :, 12:53])


@pytest.mark.parametrize("align_corners", [True, False])
def test_logits_of_any_size_come_back_in_that_size(align_corners):
    network = PSPNet(
        3, encoder="tu-regnetx_002", decoder_channels=8, align_corners=align_corners
    ).eval()
    with torch.no_grad():
        for size in ((5, 7), (32, 70), (50, 49)):
            assert full_logits(network, torch.zeros(1, 3, *size)).shape == (1, 3, *size)
        image = torch.randn(1, 3, 41, 49)
        torch.testing.assert_close(full_logits(network, image), network(image))
        odd = torch.randn(1, 3, 44, 50)
        padded = torch.nn.functional.pad(odd, (3, 4, 2, 3)) if align_corners else odd
        cut = network(padded)[:, :, 2:46, 3:53] if align_corners else network(padded)
        torch.testing.assert_close(full_logits(network, odd), cut)


def published(network: PSPNet, image: np.ndarray, *, scales, average="softmax") -> np.ndarray:
    """The test procedure of semseg's tool/test.py, image (H, W, 3), window by window in float64.

    It resizes and pads 0 to 255 pixels; the normalization is linear, so it may come before.
    """
    height, width, _ = image.shape
    prediction = np.zeros((height, width, CLASSES))
    for scale in scales:
        long_side = round(scale * BASE)
        if height > width:
            rows, columns = long_side, round(long_side / float(height) * width)
        else:
            rows, columns = round(long_side / float(width) * height), long_side
        scaled = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_LINEAR)
        scores = windows(network, scaled, average=average)
        prediction += cv2.resize(scores, (width, height), interpolation=cv2.INTER_LINEAR)
    return prediction / len(scales)


def windows(network: PSPNet, image: np.ndarray, *, average: str) -> np.ndarray:
    rows, columns, _ = image.shape
    lack = [max(CROP[0] - rows, 0), max(CROP[1] - columns, 0)]
    top, left = lack[0] // 2, lack[1] // 2
    border = (top, lack[0] - top, left, lack[1] - left)
    padded = cv2.copyMakeBorder(image, *border, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    steps = [int(np.ceil(side * 2 / 3)) for side in CROP]
    grid = [
        int(np.ceil(float(padded.shape[axis] - CROP[axis]) / steps[axis]) + 1) for axis in (0, 1)
    ]
    total = np.zeros((*padded.shape[:2], CLASSES))
    count = np.zeros(padded.shape[:2])
    for i in range(grid[0]):
        for j in range(grid[1]):
            bottom = min(i * steps[0] + CROP[0], padded.shape[0])
            right = min(j * steps[1] + CROP[1], padded.shape[1])
            place = np.s_[bottom - CROP[0] : bottom, right - CROP[1] : right]
            window = tensor(padded[place])
            with torch.no_grad():
                logits = network(torch.cat([window, window.flip(3)]))
            one, other = logits.softmax(1) if average == "softmax" else logits
            total[place] += ((one + other.flip(2)) / 2).permute(1, 2, 0).double().numpy()
            count[place] += 1
    return (total / count[..., None])[top : top + rows, left : left + columns]


SIZES = {"smaller": (40, 50), "the crop": CROP, "larger": (100, 140), "portrait": (150, 90)}


@pytest.mark.parametrize("name", ["paper-ss", "paper-ms"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_the_papers_protocols_are_the_published_procedure(network, name, size):
    image = picture(*size)
    protocol = resolve(name, ProtocolOverrides(), crop_size=CROP, base_size=BASE)
    with torch.no_grad():
        scores = evaluate(network, tensor(image), protocol)[0].permute(1, 2, 0).numpy()
    expected = published(network, image, scales=SIX_SCALES if name == "paper-ms" else (1.0,))
    assert abs(scores - expected).max() < 1e-6
    ordered = np.sort(expected, axis=2)
    clear = ordered[..., -1] - ordered[..., -2] > 1e-5
    assert np.array_equal(scores.argmax(2)[clear], expected.argmax(2)[clear])
    assert clear.mean() > 0.99
    assert len(np.unique(expected.argmax(2))) > 2


def test_scores_can_be_averaged_before_the_softmax(network):
    image = picture(100, 140)
    changes = ProtocolOverrides(average="scores", batch=3)
    protocol = resolve("paper-ss", changes, crop_size=CROP, base_size=BASE)
    with torch.no_grad():
        scores = evaluate(network, tensor(image), protocol)[0].permute(1, 2, 0).numpy()
    expected = published(network, image, scales=(1.0,), average="scores")
    np.testing.assert_allclose(scores, expected, atol=1e-5 * abs(expected).max())


def test_neither_batch_nor_company_changes_the_scores(network):
    images = torch.cat([tensor(picture(90, 100)), tensor(picture(90, 100)[::-1])])
    with torch.no_grad():
        one, many = (
            evaluate(
                network,
                images,
                resolve("paper-ss", ProtocolOverrides(batch=n), crop_size=CROP, base_size=130),
            )
            for n in (1, 32)
        )
        alone = evaluate(
            network,
            images[1:],
            resolve("paper-ss", ProtocolOverrides(), crop_size=CROP, base_size=130),
        )
    torch.testing.assert_close(one, many, rtol=0, atol=1e-6)
    torch.testing.assert_close(one[1:], alone, rtol=0, atol=1e-6)
    torch.testing.assert_close(one.sum(1), torch.ones(2, 90, 100), rtol=0, atol=1e-5)


def test_windows_of_all_scales_and_their_mirrored_copies_fill_the_batches(network):
    images = []
    hook = network.register_forward_pre_hook(lambda _, inputs: images.append(len(inputs[0])))
    protocol = resolve("paper-ms", ProtocolOverrides(batch=3), crop_size=CROP, base_size=130)
    with torch.no_grad():
        evaluate(network, tensor(picture(90, 100)), protocol)
    hook.remove()
    counts = []
    for size in protocol.sizes(90, 100):
        sides = zip(size, CROP, strict=True)
        rows, columns = (
            window_starts(max(side, crop), crop=crop, step=protocol.step(crop))
            for side, crop in sides
        )
        counts.append(len(rows) * len(columns))
    assert min(counts) == 1  # a scale alone fills no batch
    full, rest = divmod(2 * sum(counts), 6)
    assert images == [6] * full + [rest] * (rest > 0)


def resize(scores: torch.Tensor, size: tuple[int, int], *, align_corners: bool) -> torch.Tensor:
    return torch.nn.functional.interpolate(
        scores, size=size, mode="bilinear", align_corners=align_corners
    )


def test_whole_is_one_pass(network):
    image = tensor(picture(60, 90))
    with torch.no_grad():
        plain = evaluate(
            network, image, resolve("whole", ProtocolOverrides(), crop_size=None, base_size=512)
        )
        assert torch.equal(plain, full_logits(network, image))


@pytest.mark.parametrize("average", ["softmax", "scores"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_mmsegmentation_averages_at_the_images_size(network, average, align_corners):
    """Its whole mode: scores back to the image's size, softmax, mirror, mean over the scales."""
    torch.manual_seed(1)
    other = PSPNet(
        CLASSES, encoder="tu-regnetx_002", decoder_channels=16, align_corners=align_corners
    ).eval()
    other.load_state_dict(network.state_dict())
    image = tensor(picture(60, 90))
    changes = ProtocolOverrides(scales=(1.0, 1.5), average=average)
    protocol = resolve("mmseg-ms", changes, crop_size=(512, 512), base_size=None)
    expected = torch.zeros(1, CLASSES, 60, 90)
    with torch.no_grad():
        for size in ((60, 90), (90, 135)):
            scaled = resize(image, size, align_corners=False)
            for flip in (False, True):
                seen = scaled.flip(3) if flip else scaled
                logits = resize(other(seen), (60, 90), align_corners=align_corners)
                logits = logits.flip(3) if flip else logits
                expected += (logits.softmax(1) if average == "softmax" else logits) / 4
        found = evaluate(other, image, protocol)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


def test_mmsegmentations_windows_average_scores_and_come_back_by_the_corners(network):
    """Its slide mode, of networks trained on crops of 769: no mirror, corners on corners."""
    image = tensor(picture(50, 90))
    protocol = Protocol("mmseg-ss", CROP, fit=(117, 65), average="scores", rules="mmseg")
    height, width = protocol.sizes(50, 90)[0]
    assert (height, width) == (65, 117)
    total, count = torch.zeros(1, CLASSES, height, width), torch.zeros(height, width)
    with torch.no_grad():
        scaled = resize(image, (height, width), align_corners=False)
        for left in (0, width - CROP[1]):
            place = (..., slice(left, left + CROP[1]))
            total[place] += network(scaled[place])
            count[place] += 1
        expected = resize(total / count, (50, 90), align_corners=True)
        found = evaluate(network, image, protocol)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("side", [10, 11, 17, 18, 24, 25, 100])
def test_windows_cover_every_pixel_and_end_with_the_side(side):
    starts = window_starts(side, crop=10, step=7)
    assert starts[0] == 0
    assert starts[-1] + 10 == side
    assert all(0 < b - a <= 7 for a, b in pairwise(starts))
    assert len(starts) == -(-(side - 10) // 7) + 1
