"""Trainings that make activations anew, against those that keep them."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from pspnet import PSPNet
from pspnet.models.pyramid_pooling import BatchNorm2d
from pspnet.ops.activation_recompute import ActivationRecompute, _Recipe

NORMS = (torch.nn.BatchNorm2d, BatchNorm2d)


def gradients(network, image, *, recompute, autocast=False):
    """Outputs, gradients and statistics of one step."""
    network = copy.deepcopy(network).train()
    image = image.clone().requires_grad_()
    forgetting = ActivationRecompute(network, norms=NORMS)() if recompute else nullcontext()
    with forgetting, torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits, auxiliary = network(image, upsample=False)
    (logits.square().mean() + auxiliary.square().mean()).backward()
    parameters = [p.grad for p in network.parameters()]
    return [logits.detach(), image.grad, *parameters, *network.buffers()]


@pytest.mark.parametrize(
    ("encoder", "batch", "autocast"),
    [
        ("resnet18", 2, False),
        ("resnet18", 2, True),
        ("resnet18", 1, False),  # the global bin has no variance
        ("tu-resnet50s", 2, False),
        ("vgg16_bn", 2, False),
        ("tu-resnet10t", 2, False),
    ],
)
def test_every_gradient_is_the_same_to_the_last_bit(encoder, batch, autocast):
    torch.manual_seed(0)
    network = PSPNet(3, encoder=encoder, decoder_channels=16, dropout=0.0)
    image = torch.randn(batch, 3, 49, 65)
    kept = gradients(network, image, recompute=False, autocast=autocast)
    made = gradients(network, image, recompute=True, autocast=autocast)
    assert len(kept) == len(made) > 50
    assert all(torch.equal(a, b) for a, b in zip(kept, made, strict=True))


class Block(nn.Module):
    """A convolution, normalization and ReLU, with something else done to the maps."""

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
        if self.kind == "transposed":
            return self.second(y.transpose(2, 3)).transpose(2, 3)
        if self.kind == "copied":
            return self.second(y.transpose(2, 3).contiguous()).transpose(2, 3)
        if self.kind == "twice":
            y = self.second(y) + self.second(y * 3)
        return self.second(y)


@pytest.mark.parametrize(
    ("kind", "same"),
    [
        ("plain", "plain"),
        ("residual", "residual"),
        ("twice", "twice"),
        ("transposed", "copied"),  # a view of a square map has its address and its shape
        ("doubled", "doubled"),
        ("doubled in place", "doubled"),  # of which torch itself refuses the gradient
    ],
)
def test_what_else_happens_to_the_maps_counts(kind, same):
    torch.manual_seed(0)
    block, image = Block(same).train(), torch.randn(2, 3, 9, 9)
    twin = copy.deepcopy(block)
    twin.kind = kind
    with ActivationRecompute(twin, norms=NORMS)():
        found = twin(image)
    found.square().sum().backward()
    block(image).square().sum().backward()
    for one, other in zip(twin.parameters(), block.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_outside_of_it_and_in_evaluation_nothing_is_made_anew():
    block = Block("plain")
    recomputation = ActivationRecompute(block, norms=NORMS)
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


class Residuals(nn.Module):
    """Blocks whose outputs are sums.

    Args:
        number: of blocks.
        projected: the block whose shortcut has a convolution and normalization of its own, which
            comes after the block's last, as a stage's first.
        spoiled: the block whose sum is changed once more before its ReLU.
    """

    def __init__(self, number: int, projected: int | None = 0, spoiled: int | None = None) -> None:
        super().__init__()
        self.projected, self.spoiled = projected, spoiled
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(number + 1))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(number + 1))
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.stem(x)
        *blocks, projection = [*zip(self.blocks, self.norms, strict=True)]
        for index, (block, norm) in enumerate(blocks):
            shortcut = x
            x = norm(block(x))
            if index == self.projected:
                shortcut = projection[1](projection[0](shortcut))
            x += shortcut
            if index == self.spoiled:
                x += 1.0
            x = self.act(x)
        return self.stem(x[:, :3])


def recipes(network: nn.Module, image: torch.Tensor) -> list[_Recipe]:
    """What is made anew, each once."""
    recomputation, found = ActivationRecompute(network.train(), norms=NORMS), {}
    pack = recomputation._pack

    def note(tensor):
        packed = pack(tensor)
        if isinstance(packed, _Recipe):
            found[id(packed)] = packed
        return packed

    recomputation._pack = note
    with recomputation():
        network(image)
    return [*found.values()]


@pytest.mark.parametrize(
    ("number", "projected", "spoiled", "made"),
    [
        (1, 0, None, 0),
        (2, 0, None, 1),
        (3, 0, None, 1),
        (4, 0, None, 2),
        (4, None, None, 2),  # the first adds to what no ReLU gave
        (4, 2, None, 2),
        (4, 0, 1, 1),  # a sum that nothing can make is a first one
    ],
)
def test_of_residual_sums_every_second_is_made_of_the_one_before(number, projected, spoiled, made):
    torch.manual_seed(0)
    network, image = Residuals(number, projected, spoiled).train(), torch.randn(2, 3, 9, 9)
    assert len(recipes(copy.deepcopy(network), image)) == made
    twin = copy.deepcopy(network)
    with ActivationRecompute(twin, norms=NORMS)():
        found = twin(image)
    found.square().sum().backward()
    network(image).square().sum().backward()
    for one, other in zip(twin.parameters(), network.parameters(), strict=True):
        if other.grad is None:  # of a projection that no block has
            assert one.grad is None
        else:
            assert torch.equal(one.grad, other.grad)


def kept_bytes(network, image, *, recompute: bool) -> int:
    """What a graph holds besides parameters: saved tensors, and what recipes start from."""
    recomputation, total, held = ActivationRecompute(network.train(), norms=NORMS), {}, []
    pack = recomputation._pack

    def note(tensor):
        packed = pack(tensor) if recompute else tensor
        for part in (packed.source, packed.added) if isinstance(packed, _Recipe) else (packed,):
            if part is not None:
                storage = part.untyped_storage()
                total[storage.data_ptr()] = storage.nbytes()
        held.append(packed)
        return packed

    recomputation._pack = note
    with recomputation():
        network(image, upsample=False)
    return sum(total.values())


def test_a_resnet_keeps_a_quarter_less():
    torch.manual_seed(0)
    network = PSPNet(3, encoder="tu-resnet50s", decoder_channels=16)
    image = torch.randn(1, 3, 161, 161)
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    kept = kept_bytes(copy.deepcopy(network), image, recompute=False) - weights
    made = kept_bytes(copy.deepcopy(network), image, recompute=True) - weights
    assert made < 0.75 * kept
