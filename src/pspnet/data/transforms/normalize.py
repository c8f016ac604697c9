"""Normalization of images by mean and standard deviation, on their device."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from pspnet.data.channels import FULL

# of R, G and B, in shares of full intensity
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalize(image: Tensor, *, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalize images (…, C, H, W) to float32, by mean and std in shares of full intensity.

    That is 65535 in uint16, and otherwise 255.

    The result has the device and the memory format of the images.
    """
    full = 255
    if image.dtype == torch.uint16:  # torch subtracts none
        full, image = FULL, image.float()
    center, scale = _levels(tuple(mean), tuple(std), full, image.device)
    return (image - center).div_(scale)


@lru_cache(maxsize=16)  # otherwise each batch would wait for two copies to its device
def _levels(
    mean: tuple[float, ...], std: tuple[float, ...], full: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    levels = full * torch.tensor([mean, std], dtype=torch.float32, device=device)
    return levels[0, :, None, None], levels[1, :, None, None]
