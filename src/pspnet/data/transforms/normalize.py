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
    last = image.ndim == 4 and image.is_contiguous(memory_format=torch.channels_last)
    if last and image.device.type == "cpu":
        return _by_rows(image, center, scale)
    return (image - center).div_(scale)


def _by_rows(image: Tensor, center: Tensor, scale: Tensor) -> Tensor:
    """Compute the same for channels-last images (N, C, H, W), in rows of W × C values.

    A CPU's loops over the values of a pixel, which are few, take up to six times as long.
    """
    pixels = image.permute(0, 2, 3, 1)
    center, scale = (values.flatten().repeat(image.shape[-1]) for values in (center, scale))
    return (pixels.flatten(2) - center).div_(scale).view(pixels.shape).permute(0, 3, 1, 2)


@lru_cache(maxsize=16)  # otherwise each batch would wait for two copies to its device
def _levels(
    mean: tuple[float, ...], std: tuple[float, ...], full: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    levels = full * torch.tensor([mean, std], dtype=torch.float32, device=device)
    return levels[0, :, None, None], levels[1, :, None, None]
