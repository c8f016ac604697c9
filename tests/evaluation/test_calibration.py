"""Temperature and calibration errors against torchmetrics and a direct search."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassCalibrationError

from pspnet.errors import UserError
from pspnet.evaluation.calibration import Calibration, CalibrationError
from pspnet.inference.class_scores import log_scores_at, predict
from pspnet.inference.protocols import Protocol
from pspnet.inference.single_pass import FeatureLogits
from pspnet.models.pspnet import PSPNet

PASS = Protocol("whole", average="scores")


def images(count: int, *, temperature: float):
    """Logits (1, 3, 40, 50) and targets drawn from their softmax at a temperature, by name."""
    for index in range(count):
        generator = torch.Generator().manual_seed(index)
        logits = 3 * torch.randn(1, 3, 40, 50, generator=generator)
        shares = (logits / temperature).softmax(1)[0].flatten(1).T
        target = torch.multinomial(shares, 1, generator=generator).view(1, 40, 50)
        target[0, :5] = 255
        yield f"image_{index}", logits, target


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_that_the_targets_were_drawn_at_is_found(temperature):
    metric = Calibration(3)
    for name, logits, target in images(24, temperature=temperature):
        metric.update(logits, target, [name], PASS)
    found = metric.compute()
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.after.ece < 0.02
    if temperature != 1.0:
        assert found.before.ece > 3 * found.after.ece
    parts = [part.count for part in found.before_by_class]
    np.testing.assert_allclose(sum(parts), found.before.count)
    described = found.describe(("a", "b", "c"))
    assert described["ece_by_class"]["c"]["after"] == found.after_by_class[2].ece


def test_errors_are_those_of_torchmetrics():
    metric = Calibration(3)
    places = {2.0 ** (place / 16 - 3): place for place in (48, 64)}
    others = {
        temperature: MulticlassCalibrationError(3, n_bins=15, ignore_index=255)
        for temperature in places
    }
    for name, logits, target in images(12, temperature=1.5):
        before = metric.bins.sum()
        metric.update(logits, target, [name], PASS)
        if metric.bins.sum() > before:  # of the half that is not fitted; all of its pixels count
            for temperature, other in others.items():
                other.update((logits / temperature).softmax(1), target)
    for temperature, other in others.items():
        found = CalibrationError.of(metric.bins[places[temperature]].sum(0))
        assert found.ece == pytest.approx(float(other.compute()), abs=1e-6)


def test_order_of_images_does_not_matter():
    one, other = Calibration(3), Calibration(3)
    several = [*images(6, temperature=1.0)]
    for metric, order in ((one, several), (other, several[::-1])):
        for name, logits, target in order:
            metric.update(logits, target, [name], PASS)
    torch.testing.assert_close(one.bins, other.bins)
    torch.testing.assert_close(one.losses, other.losses)


def test_one_half_without_pixels_is_refused():
    metric = Calibration(3)
    ((name, logits, target),) = images(1, temperature=1.0)
    metric.update(logits, target, [name], PASS)
    with pytest.raises(UserError, match="give more images"):
        metric.compute()


def test_a_probability_of_0_does_not_decide_the_temperature():
    metric, flips = Calibration(3), Protocol("flips", mirror=True)
    for name, logits, target in images(24, temperature=1.0):
        shares = logits.softmax(1)
        shares[0, :, 20, 20] = torch.eye(3)[(target[0, 20, 20] + 1) % 3]
        metric.update(shares, target, [name], flips)
    assert metric.compute().temperature == pytest.approx(1, rel=0.5)


@pytest.mark.parametrize("align_corners", [True, False])
@torch.no_grad()
def test_scores_at_pixels_are_those_of_the_upsampled_logits(align_corners):
    network = PSPNet(
        3, encoder="tu-resnet10t", decoder_channels=8, auxiliary=False, align_corners=align_corners
    ).eval()
    _, scores = predict(network, torch.randn(2, 3, 43, 60), PASS)
    assert isinstance(scores, FeatureLogits)
    pixels = torch.randperm(43 * 60)[:200]
    expected = scores.upsample()[1].flatten(1)[:, pixels].T
    torch.testing.assert_close(log_scores_at(scores, 1, pixels, PASS), expected)
