"""The copy for evaluation: folded once, then again with later weights while the structure stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from pspnet.inference import network_copy
from pspnet.inference.network_copy import InferenceCopy
from pspnet.models.pspnet import PSPNet


@pytest.fixture
def network() -> PSPNet:
    torch.manual_seed(0)
    options = {"decoder_channels": 16, "auxiliary_channels": 8, "bins": [1, 2]}
    return PSPNet(3, "tu-resnet10t", **options).double()


def train_a_step(network: PSPNet) -> None:
    """Change weights and running statistics."""
    image = torch.randn(4, 3, 65, 65, dtype=torch.double)
    network.train()
    sum(logits.square().mean() for logits in network(image)).backward()
    torch.optim.SGD(network.parameters(), 0.1).step()
    network.zero_grad()


def assert_same(copy: nn.Module | None, network: PSPNet) -> None:
    assert copy is not None
    image = torch.randn(1, 3, 65, 65, dtype=torch.double)
    training = network.training
    with torch.no_grad():
        torch.testing.assert_close(copy(image), network.eval()(image), rtol=1e-9, atol=1e-9)
    network.train(training)


def test_later_weights_are_folded_without_looking_again(network, monkeypatch) -> None:
    copy = InferenceCopy()
    copy.update(network)
    first = copy.network
    assert first is not network
    copy.release()
    assert copy.network is None
    assert first.decoder[0].weight.numel() == 0, "a training keeps the memory of folded weights"
    monkeypatch.setattr(network_copy, "fold", lambda _: pytest.fail("the network is traced again"))
    for _ in range(2):
        train_a_step(network)
        copy.update(network)
        assert copy.network is first
        assert_same(copy.network, network)
        copy.release()


def widen(network: PSPNet) -> None:
    network.decoder[1].eps = 0.5


def other_activation(network: PSPNet) -> None:
    network.decoder[2] = nn.ELU()


def other_weight(network: PSPNet) -> None:
    network.decoder[0].weight = nn.Parameter(torch.randn_like(network.decoder[0].weight))


def no_norm(network: PSPNet) -> None:
    network.decoder[1] = nn.Identity()


def hook(network: PSPNet) -> None:
    network.decoder[0].register_forward_hook(lambda _, __, output: 2 * output)


def fewer_channels(network: PSPNet) -> None:
    prune.l1_unstructured(network.decoder[0], "weight", 0.5)


def buffer(network: PSPNet) -> None:
    network.decoder[1].running_var = torch.full_like(network.decoder[1].running_var, 9)


EDITS = [widen, other_activation, other_weight, no_norm, hook, fewer_channels, buffer]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_an_edit_between_two_evaluations_takes_effect(
    network: PSPNet, edit: Callable[[PSPNet], None]
) -> None:
    copy = InferenceCopy()
    copy.update(network)
    copy.release()
    edit(network)
    copy.update(network)
    assert_same(copy.network, network)
