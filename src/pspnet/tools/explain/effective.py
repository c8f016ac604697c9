"""Effective receptive fields: where in the image the gradient of one unit lies.

Luo et al., Understanding the Effective Receptive Field in Deep CNNs (2016); the paper's sections
3.1 and 3.2 argue from its being smaller than the theoretical one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from pspnet.evaluation.whole import pad_centrally
from pspnet.models.pspnet import PSPNet

DECODER = "decoder"


def energies(
    network: PSPNet,
    images: Sequence[Tensor],
    *,
    only: Collection[str] | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """How the gradient of the middle unit of each stage spreads over the image.

    The energy at a pixel is the sum of the squared derivatives of all channels of the unit by all
    channels of the pixel, estimated for each image by one combination of the unit's channels with
    random signs, of which it is the mean. It is summed over the images.

    Args:
        network: in evaluation mode.
        images: normalized, (3, H, W) each, of one size.
        only: names of the outputs to measure; None is all.
        seed: of the signs; two layouts are compared with the same ones.

    Returns:
        By "stage 1" to "stage 5", and "decoder" for the class scores before they are enlarged,
        (H, W) float64 of sum 1.
    """
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    total: dict[str, np.ndarray] = {}
    for image in images:
        found = _energies(network, image[None].to(device), generator, only)
        for name, energy in found.items():
            total[name] = total.get(name, 0) + energy
    return {name: energy / energy.sum() for name, energy in total.items()}


def _energies(
    network: PSPNet, image: Tensor, generator: torch.Generator, only: Collection[str] | None
) -> dict[str, np.ndarray]:
    image = image.clone().requires_grad_()
    with torch.enable_grad():
        stages = network.encoder(image)[1:]
        outputs = {f"stage {k}": stage for k, stage in enumerate(stages, start=1)}
        outputs[DECODER] = network.decoder(network.pyramid(stages[-1]))
        found = {}
        for name, output in outputs.items():
            if output.shape[1] == 0 or (only is not None and name not in only):
                continue  # no channels: smp's stand-in for a stage that a network lacks
            row, column = middle(output.shape[2]), middle(output.shape[3])
            signs = 2 * torch.randint(2, (output.shape[1],), generator=generator) - 1
            unit = (output[0, :, row, column] * signs.to(output)).sum()
            gradient = torch.autograd.grad(unit, image, retain_graph=True)[0][0]  # (3, H, W)
            found[name] = gradient.double().square().sum(0).cpu().numpy()
    return found


def middle(count: int) -> int:
    """Place of the middle one of `count` units, of which the later where there are two."""
    return count // 2


def heart(energy: np.ndarray) -> tuple[int, int]:
    """Row and column of the pixel that has half of the energy above it, and half to its left.

    Not the middle of what the unit can see: pools that are padded on one side alone, as in the
    shortcuts of some ResNets, draw the gradient aside.

    Args:
        energy: (H, W), 0 or more.
    """
    row, column = (
        int(np.searchsorted(np.cumsum(energy.sum(axis)), energy.sum() / 2)) for axis in (1, 0)
    )
    return row, column


def square_of(energy: np.ndarray, share: float, *, center: tuple[int, int]) -> int:
    """Side in pixels of the least square around a pixel that holds a share of the energy.

    Args:
        energy: (H, W), 0 or more.
        share: above 0, at most 1.
        center: row and column of the pixel; the square may reach beyond the image.
    """
    down, across = (np.abs(np.arange(n) - c) for n, c in zip(energy.shape, center, strict=True))
    distance = np.maximum.outer(down, across)  # (H, W)
    rings = np.bincount(distance.ravel(), weights=energy.ravel())
    held = np.cumsum(rings) / rings.sum()
    return 2 * int(np.searchsorted(held, share - 1e-9)) + 1


def centered(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of an image (3, H, W) at a size, padded with the mean color where it is less."""
    padded, _ = pad_centrally(image[None], multiple=1, smallest=size)
    top, left = ((have - want) // 2 for have, want in zip(padded.shape[2:], size, strict=True))
    return padded[0, :, top : top + size[0], left : left + size[1]]
