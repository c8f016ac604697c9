"""The published formulation gives what this package's network gives, and the same gradients."""

from copy import deepcopy

import pytest
import torch

from benchmarks.published import AUXILIARY_WEIGHT, Published, published_loss
from pspnet import PSPNet
from pspnet.losses import CrossEntropy

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
def test_logits_loss_and_gradients_are_ours(bins):
    ours = network(bins)
    theirs = Published(deepcopy(ours))
    image, label = batch()
    outputs, coarse = theirs(image), ours(image, upsample=False)
    main, extra = (CrossEntropy()(logits, label) for logits in coarse)
    loss, published = main + AUXILIARY_WEIGHT * extra, published_loss(outputs, label)
    torch.testing.assert_close(published, loss, rtol=1e-10, atol=1e-10)
    for logits, expected in zip(outputs, ours(image), strict=True):
        torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
    loss.backward()
    published.backward()
    ways = zip(ours.parameters(), shared(theirs, ours), strict=True)
    pulls = [(mine.grad, other.grad) for mine, other in ways]
    assert max(mine.abs().max().item() for mine, _ in pulls) > 1e-3
    for mine, other in pulls:
        torch.testing.assert_close(other, mine, rtol=1e-10, atol=1e-10)


def shared(theirs: Published, ours: PSPNet) -> list[torch.nn.Parameter]:
    """The parameters of the published network in the order of ours."""
    named = dict(theirs.named_parameters())
    return [named[name.replace("pyramid.levels", "levels")] for name, _ in ours.named_parameters()]


def test_evaluation_has_no_auxiliary_logits():
    ours = network((1, 2, 3, 6)).eval()
    image, _ = batch()
    with torch.no_grad():
        logits = Published(ours).eval()(image)
        assert isinstance(logits, torch.Tensor)
        torch.testing.assert_close(logits, ours(image), rtol=1e-10, atol=1e-10)
