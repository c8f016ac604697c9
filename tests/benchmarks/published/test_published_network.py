"""The published network and this package's agree in logits, loss and gradients."""

from copy import deepcopy

import pytest
import torch

from benchmarks.ours import set_fused_pyramid, training_loss
from benchmarks.published.network import PublishedPSPNet, published_loss
from pspnet import PSPNet

SIZE = (65, 57)


def network(bins: tuple[int, ...]) -> PSPNet:
    torch.manual_seed(0)
    return PSPNet(
        5,
        encoder="tu-regnetx_002",
        bins=bins,
        decoder_channels=16,
        auxiliary_channels=8,
        dropout=0.0,
    ).double()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, 3, *SIZE, generator=generator, dtype=torch.float64)
    label = torch.randint(6, (2, *SIZE), generator=generator)
    return image, label.where(label < 5, 255)


@pytest.mark.parametrize("bins", [(1, 2, 3, 6), (2,), ()], ids=str)
@pytest.mark.parametrize("fused", [True, False])
def test_logits_loss_and_gradients_are_ours(bins, fused):
    ours = set_fused_pyramid(network(bins), fused)
    theirs = PublishedPSPNet(deepcopy(ours))
    image, label = batch()
    outputs = theirs(image)
    loss = training_loss(ours, recompute=False)(image, label)
    published = published_loss(outputs, label)
    torch.testing.assert_close(published, loss, rtol=1e-10, atol=1e-10)
    for logits, expected in zip(outputs, ours(image), strict=True):
        torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
    loss.backward()
    published.backward()
    pairs = zip(ours.parameters(), shared(theirs, ours), strict=True)
    gradients = [(mine.grad, other.grad) for mine, other in pairs]
    assert max(mine.abs().max().item() for mine, _ in gradients) > 1e-3
    for mine, other in gradients:
        torch.testing.assert_close(other, mine, rtol=1e-10, atol=1e-10)


def shared(theirs: PublishedPSPNet, ours: PSPNet) -> list[torch.nn.Parameter]:
    """Return the parameters of the published network in the order of ours."""
    named = dict(theirs.named_parameters())
    return [named[name.replace("pyramid.levels", "levels")] for name, _ in ours.named_parameters()]


def test_evaluation_has_no_auxiliary_logits():
    ours = network((1, 2, 3, 6)).eval()
    image, _ = batch()
    with torch.no_grad():
        logits = PublishedPSPNet(ours).eval()(image)
        assert isinstance(logits, torch.Tensor)
        torch.testing.assert_close(logits, ours(image), rtol=1e-10, atol=1e-10)
