"""Channel dropout by the seeds of samples."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from pspnet.models.dropout import Dropout2d, hashed_uniform, set_sample_seeds

MASK = 2**64 - 1


def split_mix(state: int, count: int) -> list[int]:
    """SplitMix64 as Vigna's public C code has it, in Python's unbounded integers."""
    numbers = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        numbers.append(z ^ (z >> 31))
    return numbers


@pytest.mark.parametrize("seed", [0, 1, 1234567, 2**63 - 1])
def test_numbers_are_split_mix(seed: int) -> None:
    expected = [(number >> 40) / 2**24 for number in split_mix(seed, 50)]
    assert hashed_uniform(torch.tensor([seed]), 50)[0].tolist() == expected


def test_published_sequence() -> None:
    # the first outputs for seed 1234567 that accompany the published generator
    first = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert split_mix(1234567, 3) == first


def test_a_sample_has_one_mask_in_every_batch() -> None:
    layer, features = Dropout2d(0.3), torch.ones(6, 40, 2, 3)
    seeds = torch.randint(2**63 - 1, (6,))
    set_sample_seeds(layer, seeds)
    together = layer(features)
    for number in range(6):
        set_sample_seeds(layer, seeds[number : number + 1])
        assert torch.equal(layer(features[:1]), together[number : number + 1])
    assert len({tuple(mask[:, 0, 0].tolist()) for mask in together}) == 6


def test_layers_draw_different_masks() -> None:
    layers = nn.ModuleList([Dropout2d(0.5), Dropout2d(0.5)])
    features = torch.ones(2, 64, 1, 1)
    set_sample_seeds(layers, torch.tensor([5, 9]))
    one, two = (layer(features) for layer in layers)
    assert not torch.equal(one, two)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5])
def test_share_and_scale(p: float) -> None:
    layer = Dropout2d(p)
    set_sample_seeds(layer, torch.arange(400))
    out = layer(torch.ones(400, 100, 1, 1, dtype=torch.float64))
    dropped = float((out == 0).double().mean())
    assert abs(dropped - p) < 5 * (p * (1 - p) / 40_000) ** 0.5 + 1e-12
    assert set(out.unique().tolist()) <= {0.0, 1 / (1 - p)}


def test_torch_is_asked_without_seeds_and_nobody_in_evaluation() -> None:
    layer, features = Dropout2d(0.5), torch.ones(3, 8, 2, 2)
    torch.manual_seed(4)
    own = layer(features)
    torch.manual_seed(4)
    assert torch.equal(own, nn.Dropout2d(0.5)(features))
    layer.eval()
    set_sample_seeds(layer, torch.arange(3))
    assert torch.equal(layer(features), features)
    set_sample_seeds(layer, None)
    assert layer.seeds is None


def test_checkpointed_activations_are_computed_again_with_the_same_masks() -> None:
    torch.manual_seed(0)
    head = nn.Sequential(nn.Conv2d(8, 32, 1), Dropout2d(0.5), nn.Conv2d(32, 2, 1))
    features = torch.randn(2, 8, 3, 3)
    set_sample_seeds(head, torch.tensor([3, 4]))
    expected = torch.autograd.grad(head(features).square().sum(), head[0].weight)
    again = checkpoint(head, features, use_reentrant=False, preserve_rng_state=False)
    assert torch.equal(torch.autograd.grad(again.square().sum(), head[0].weight)[0], expected[0])
