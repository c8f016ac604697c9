"""Scores enlarged chunk by chunk, against torch's own resize and cross-entropy of whole tensors."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from pspnet.ops import chunked_logits
from pspnet.ops.chunked_logits import (
    ChunkedUpsampling,
    argmax,
    pixel_losses,
    weighted_cross_entropy,
)

SIZES = [
    ((5, 7), (33, 49)),
    ((5, 7), (38, 51)),
    ((9, 4), (9, 4)),
    ((6, 5), (6, 40)),
    ((1, 1), (8, 9)),
]


@pytest.fixture(params=[40, 500, 2**22])
def chunks(request, monkeypatch):
    """Strips of one row, of some, of all rows."""
    monkeypatch.setattr(chunked_logits, "CHUNK", request.param)


def whole(logits, size, align_corners):
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=align_corners)


def batch(sizes, classes=6, dtype=torch.float64):
    torch.manual_seed(0)
    small, large = sizes
    logits = (3 * torch.randn(2, classes, *small)).to(dtype)
    label = torch.randint(classes, (2, *large))
    label[torch.rand(label.shape) < 0.2] = 255
    weights = torch.rand(label.shape, dtype=torch.float64) * (label != 255)
    return logits, label, weights


def plain_loss(logits, label, weights, align_corners):
    scores = whole(logits, label.shape[1:], align_corners)
    losses = F.cross_entropy(scores, label, ignore_index=255, reduction="none")
    return (losses * weights).sum() / weights.sum()


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("sizes", SIZES)
def test_loss_and_gradient_are_those_of_the_whole(chunks, sizes, align_corners):
    logits, label, weights = batch(sizes)
    one, other = (logits.clone().requires_grad_() for _ in range(2))
    expected = plain_loss(one, label, weights, align_corners)
    found = weighted_cross_entropy(other, label, weights, align_corners=align_corners)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)
    (5 * expected).backward()
    (5 * found).backward()
    torch.testing.assert_close(other.grad, one.grad, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("align_corners", [True, False])
def test_in_float32_it_is_as_near_to_the_truth_as_the_whole(align_corners):
    logits, label, weights = batch(((30, 30), (233, 233)), classes=20)
    exact, plain, own = (
        logits.clone().to(t).requires_grad_() for t in (torch.float64, torch.float32, torch.float32)
    )
    truth = plain_loss(exact, label, weights.double(), align_corners)
    coarse = plain_loss(plain, label, weights, align_corners)
    found = weighted_cross_entropy(own, label, weights, align_corners=align_corners)
    assert abs(found.item() / truth.item() - 1) < 1e-6
    for loss in (truth, coarse, found):
        loss.backward()
    scale = exact.grad.abs().max()
    error, usual = ((t.grad - exact.grad).abs().max() / scale for t in (own, plain))
    assert error < 2e-6
    assert error < 1.2 * usual


def test_of_bfloat16_logits_the_loss_is_float32_and_the_gradient_theirs():
    logits, label, weights = batch(SIZES[0])
    small = logits.bfloat16().requires_grad_()
    loss = weighted_cross_entropy(small, label, weights, align_corners=True)
    assert loss.dtype == torch.float32
    expected = plain_loss(small.detach().double(), label, weights.double(), True)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert small.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("sizes", SIZES)
def test_autocast_changes_nothing(sizes):
    logits, label, weights = batch(sizes, dtype=torch.float32)
    found = []
    for enabled in (False, True):
        own = logits.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = weighted_cross_entropy(own, label, weights, align_corners=True)
            losses = pixel_losses(logits, label, ignore_index=255, align_corners=True)
            classes = argmax(logits, tuple(label.shape[1:]), align_corners=True)
            loss.backward()
        assert loss.dtype == losses.dtype == torch.float32
        found.append((loss.detach(), own.grad, losses, classes))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_without_a_weighed_pixel_loss_and_gradient_are_0():
    logits, label, _ = batch(SIZES[0])
    logits.requires_grad_()
    loss = weighted_cross_entropy(logits, label, torch.zeros(label.shape), align_corners=True)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == 0


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("sizes", SIZES)
def test_pixel_losses(chunks, sizes, align_corners):
    logits, label, _ = batch(sizes)
    found = pixel_losses(logits, label, ignore_index=255, align_corners=align_corners)
    scores = whole(logits, label.shape[1:], align_corners)
    expected = F.cross_entropy(scores, label, ignore_index=255, reduction="none")
    torch.testing.assert_close(found, expected)
    assert not found.requires_grad


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("sizes", SIZES)
def test_predictions_with_and_without_a_window(chunks, sizes, align_corners):
    logits, label, _ = batch(sizes)
    size = tuple(label.shape[1:])
    expected = whole(logits, size, align_corners).argmax(1)
    assert torch.equal(argmax(logits, size, align_corners=align_corners), expected.byte())
    window = (slice(2, size[0] - 1), slice(1, size[1]))
    cut = argmax(logits, size, align_corners=align_corners, window=window)
    assert torch.equal(cut, expected[:, window[0], window[1]].byte())


def test_the_chunks_are_the_resized_scores_in_order(chunks):
    logits, *_ = batch(SIZES[0])
    enlarged = ChunkedUpsampling(logits, (33, 49), align_corners=False)
    rows, parts = zip(*enlarged.chunks(), strict=True)
    assert [part for row in rows for part in range(row.start, row.stop)] == list(range(33))
    expected = whole(logits, (33, 49), False)
    torch.testing.assert_close(torch.cat(parts, 2), expected, rtol=1e-12, atol=1e-12)


class Largest(TorchDispatchMode):
    """The greatest number of values of any tensor that is made."""

    values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        made = out if isinstance(out, tuple | list) else [out]
        self.values = max(self.values, *(t.numel() for t in made if isinstance(t, torch.Tensor)), 0)
        return out


def test_no_tensor_grows_with_classes_times_the_batchs_pixels(monkeypatch):
    monkeypatch.setattr(chunked_logits, "CHUNK", 20_000)
    classes, images, side = 50, 3, 129
    logits = torch.randn(images, classes, 17, 17, requires_grad=True)
    label = torch.randint(classes, (images, side, side))
    with Largest() as own:
        weights = torch.ones(label.shape)
        weighted_cross_entropy(logits, label, weights, align_corners=True).backward()
    with Largest() as plain:
        plain_loss(logits, label, weights, True).backward()
    wide = classes * 17 * side  # of one image, enlarged along one axis
    assert own.values <= max(20_000, wide, label.numel())
    assert plain.values == images * classes * side * side  # the probe does see it
