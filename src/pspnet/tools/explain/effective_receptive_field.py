"""Effective receptive fields: the distribution of one unit's gradient over the image.

Luo et al., Understanding the Effective Receptive Field in Deep CNNs (2016). Sections 3.1 and 3.2 of
the paper argue from its being smaller than the theoretical one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from pspnet.models.pspnet import PSPNet
from pspnet.tools.explain.layer_table import stage_features

LOGITS = "logits"


def gradient_energies(
    network: PSPNet,
    images: Sequence[Tensor],
    *,
    only: Collection[str] | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Measure how the gradient of each stage's middle unit spreads over the image.

    The energy at a pixel is the sum of the squared derivatives of all channels of the unit with
    respect to all channels of the pixel. Per image it is estimated by one combination of the unit's
    channels with random signs, whose expected energy it is; the images' energies are added.

    Args:
        network: in evaluation mode; it runs as it stands.
        images: normalized, (3, H, W) each, of one size.
        only: names of the outputs to measure; None is all.
        seed: of the signs; two layouts are compared with the same ones.

    Returns:
        "stage 1" to "stage 5", as far as the encoder returns a list of maps, and "logits" at the
        image's size: (H, W) float64 of sum 1 each. What has no gradient is left out.
    """
    generator = torch.Generator().manual_seed(seed)
    total: dict[str, np.ndarray] = {}
    for image in images:
        for name, energy in _energies(network, image[None], generator, only).items():
            total[name] = total.get(name, 0) + energy
    return {name: energy / energy.sum() for name, energy in total.items() if energy.any()}


def _energies(
    network: PSPNet, image: Tensor, generator: torch.Generator, only: Collection[str] | None
) -> dict[str, np.ndarray]:
    image = image.to(next(network.parameters())).clone().requires_grad_()
    outputs: dict[str, Tensor] = {}
    hook = network.encoder.register_forward_hook(
        lambda _, __, features: outputs.update(stage_features(features))
    )
    found = {}
    with torch.enable_grad():
        with hook:
            outputs[LOGITS] = network(image)
        for name, output in outputs.items():
            if not output.requires_grad or not output.numel() or name not in (only or outputs):
                continue  # no channels: smp's stand-in for a stage that a network lacks
            row, column = middle(output.shape[2]), middle(output.shape[3])
            signs = 2 * torch.randint(2, (output.shape[1],), generator=generator) - 1
            unit = (output[0, :, row, column] * signs.to(output)).sum()
            gradient = torch.autograd.grad(unit, image, retain_graph=True)[0][0]  # (3, H, W)
            found[name] = gradient.cpu().double().square().sum(0).numpy()
    return found


def middle(count: int) -> int:
    """Return the index of the middle one of `count` units, the later where there are two."""
    return count // 2


def median_pixel(energy: np.ndarray) -> tuple[int, int]:
    """Return row and column of the pixel with half of the energy above it, and half to its left.

    It differs from the middle of the theoretical field: pools that are padded on one side alone, as
    in the shortcuts of some ResNets, draw the gradient aside.

    Args:
        energy: (H, W), 0 or more.
    """
    row, column = (
        int(np.searchsorted(np.cumsum(energy.sum(axis)), energy.sum() / 2)) for axis in (1, 0)
    )
    return row, column


def square_side(energy: np.ndarray, share: float, *, center: tuple[int, int]) -> int:
    """Return the side in pixels of the smallest square that holds a share of the energy.

    Args:
        energy: (H, W), 0 or more.
        share: above 0, at most 1.
        center: row and column of the square's middle; it may reach beyond the image.
    """
    held = np.cumsum(np.bincount(_distance(energy, center).ravel(), weights=energy.ravel()))
    return 2 * int(np.searchsorted(held / held[-1], share - 1e-9)) + 1


def share_within(energy: np.ndarray, side: int, *, center: tuple[int, int]) -> float:
    """Return the share of the energy within a square of `side` pixels around `center`."""
    return float(energy[_distance(energy, center) <= side // 2].sum() / energy.sum())


def _distance(energy: np.ndarray, center: tuple[int, int]) -> np.ndarray:
    """Return each pixel's distance to `center` in rows or columns, the larger; (H, W)."""
    down, across = (np.abs(np.arange(n) - c) for n, c in zip(energy.shape, center, strict=True))
    distance: np.ndarray = np.maximum.outer(down, across)
    return distance
