"""Trainings that make activations anew, against those that keep them."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from pspnet import PSPNet
from pspnet.models.recomputation import Recomputation


def gradients(network, image, *, recompute):
    """Outputs, gradients and statistics of one step."""
    network = copy.deepcopy(network).train()
    image = image.clone().requires_grad_()
    with Recomputation(network)() if recompute else nullcontext():
        logits, auxiliary = network(image, upsample=False)
    (logits.square().mean() + auxiliary.square().mean()).backward()
    parameters = [p.grad for p in network.parameters()]
    return [logits.detach(), image.grad, *parameters, *network.buffers()]


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet50s", "vgg16_bn", "tu-resnet10t"])
def test_every_gradient_is_the_same_to_the_last_bit(encoder):
    torch.manual_seed(0)
    network = PSPNet(3, encoder=encoder, decoder_channels=16, dropout=0.0)
    image = torch.randn(2, 3, 49, 65)
    kept = gradients(network, image, recompute=False)
    made = gradients(network, image, recompute=True)
    assert len(kept) == len(made) > 50
    assert all(torch.equal(a, b) for a, b in zip(kept, made, strict=True))


class Block(nn.Module):
    """A convolution, normalisation and ReLU, with something else done to the maps."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.act = nn.BatchNorm2d(4), nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.norm(self.first(x))
        if self.kind == "residual":
            y += x.sum(1, keepdim=True)
        y = self.act(y)
        if self.kind == "doubled":
            y = y * 2
        if self.kind == "doubled in place":
            y = y.mul_(2)
        if self.kind == "twice":
            y = self.second(y) + self.second(y * 3)
        return self.second(y)


@pytest.mark.parametrize(
    ("kind", "same"),
    [
        ("plain", "plain"),
        ("residual", "residual"),
        ("twice", "twice"),
        ("doubled", "doubled"),
        ("doubled in place", "doubled"),  # of which torch itself refuses the gradient
    ],
)
def test_what_else_happens_to_the_maps_counts(kind, same):
    torch.manual_seed(0)
    block, image = Block(same).train(), torch.randn(2, 3, 9, 9)
    twin = copy.deepcopy(block)
    twin.kind = kind
    with Recomputation(twin)():
        found = twin(image)
    found.square().sum().backward()
    block(image).square().sum().backward()
    for one, other in zip(twin.parameters(), block.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_outside_of_it_and_in_evaluation_nothing_is_made_anew():
    block = Block("plain")
    recomputation = Recomputation(block)
    packed = []
    image = torch.randn(2, 3, 9, 9)
    for train, active in ((True, False), (False, True)):
        recomputation._active = active
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: packed.append(recomputation._pack(t)) or t, lambda t: t
        ):
            block.train(train)(image)
    assert packed
    assert all(isinstance(kept, torch.Tensor) for kept in packed)


def kept_bytes(network, image, *, recompute: bool) -> int:
    """What a graph holds besides parameters: saved tensors, and what recipes start from."""
    network.train()
    recomputation, total = Recomputation(network), {}

    def note(tensor):
        storage = tensor.untyped_storage()
        total[storage.data_ptr()] = storage.nbytes()

    def pack(tensor):
        packed = recomputation._pack(tensor) if recompute else tensor
        note(packed if isinstance(packed, torch.Tensor) else packed.source)
        held.append(packed)
        return packed

    held = []
    recomputation._active = recompute
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept):
        network(image, upsample=False)
    return sum(total.values())


def test_a_resnet_keeps_a_sixth_less():
    torch.manual_seed(0)
    network = PSPNet(3, encoder="tu-resnet50s", decoder_channels=16)
    image = torch.randn(1, 3, 161, 161)
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    kept = kept_bytes(copy.deepcopy(network), image, recompute=False) - weights
    made = kept_bytes(copy.deepcopy(network), image, recompute=True) - weights
    assert made < 0.87 * kept
