"""Channel dropout whose masks belong to the samples, not to the processes that train on them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# constants of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)
GAMMA, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class Dropout2d(nn.Dropout2d):
    """torch's channel dropout, reproducible per sample after `set_sample_seeds`.

    Then a sample's mask is a function of its seed and the channel, on every device, in whichever
    process and batch the sample is. Elsewhere the masks are torch's own.
    """

    seeds: Tensor | None = None  # (N,) int64, of the samples of the batch

    def forward(self, input: Tensor) -> Tensor:
        if self.seeds is None or not self.training:
            return super().forward(input)
        uniform = hashed_uniform(self.seeds, input.shape[1])
        kept = (uniform >= self.p).to(input.dtype) / (1 - self.p)  # (N, C)
        return input * kept[:, :, None, None]


def set_sample_seeds(network: nn.Module, seeds: Tensor | None) -> None:
    """Let a network's `Dropout2d` layers draw their masks from seeds, until these are None.

    They stay set during the backward pass, in which checkpointed activations are computed again.

    Args:
        network: with any number of such layers.
        seeds: (N,) int64, one per sample; None for torch's own masks.
    """
    layers = [module for module in network.modules() if isinstance(module, Dropout2d)]
    for number, layer in enumerate(layers):
        # the seeds are 63 random bits: no two samples are so near
        layer.seeds = None if seeds is None else seeds + number


def hashed_uniform(seeds: Tensor, count: int) -> Tensor:
    """Return `count` numbers in [0, 1) per seed, (N, count) float32, by SplitMix64.

    Args:
        seeds: (N,) int64.
        count: numbers per seed.
    """
    places = torch.arange(1, count + 1, device=seeds.device)
    mixed: Tensor = seeds[:, None] + places * _signed(GAMMA)
    mixed = (mixed ^ _shifted(mixed, 30)) * _signed(MIX_1)
    mixed = (mixed ^ _shifted(mixed, 27)) * _signed(MIX_2)
    return _shifted(mixed ^ _shifted(mixed, 31), 40).float() / 2**24


def _shifted(value: Tensor, bits: int) -> Tensor:
    """Shift int64 to the right, with zeros from the left as for an unsigned number."""
    shifted: Tensor = (value >> bits) & (2 ** (64 - bits) - 1)
    return shifted


def _signed(value: int) -> int:
    return value - 2**64  # of constants whose highest bit is set
