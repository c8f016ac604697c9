"""Feature maps as small pictures in a page: PNG or JPEG as data addresses."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pspnet.data.image_io import encode

SIDE = 256  # pixels of a map's longer side; a larger map is averaged over neighbors
PHOTO = 480
CHOSEN_SIDE = 128  # of one channel's map
COLORS = 64  # of a map
FLAT = 1e-4
ROUNDS = 300  # of the power iteration
EXACT = 1e-5  # change of the direction at which it ends


@dataclass(frozen=True)
class Component:
    """The first principal component of a map over its places.

    Args:
        mean: of each channel, (C,).
        direction: the unit vector (C,); the component rises with the mean over channels.
        share: of the variance of all channels.
        limits: 1 % and 99 % of its values lie below.
    """

    mean: Tensor
    direction: Tensor
    share: float
    limits: tuple[float, float]

    def of(self, maps: Tensor) -> Tensor:
        """Return the component (h, w) of maps (C, h, w)."""
        return torch.einsum("c,chw->hw", self.direction, maps.float() - self.mean[:, None, None])


def first_component(maps: Tensor) -> Component:
    """Return the first principal component of maps (C, h, w) by power iteration."""
    flat = maps.flatten(1).float()
    mean = flat.mean(1)
    centered = flat - mean[:, None]
    direction = F.normalize(centered.square().sum(1), dim=0)  # from the channels of most variance
    for _ in range(ROUNDS):
        before, direction = direction, F.normalize(centered @ (centered.T @ direction), dim=0)
        if (direction - before).abs().max() < EXACT:
            break
    values, total = direction @ centered, centered.square().sum()
    if (values * centered.mean(0)).sum() < 0:
        values, direction = -values, -direction
    share = (values.square().sum() / total).item() if total > 0 else 0.0
    return Component(mean, direction, share, limits_of(values))


def limits_of(values: Tensor) -> tuple[float, float]:
    """Return the values below which 1 % and 99 % lie."""
    low, high = np.quantile(values.float().cpu().numpy(), (0.01, 0.99))
    return float(low), float(high)


def distinct_channels(maps: Tensor, count: int) -> list[int]:
    """Return the channels of maps (C, h, w) that vary most over the places, in that order.

    The variance of each is what those before it leave unexplained, so that no two are alike.
    """
    flat = maps.flatten(1).float()
    rest = flat - flat.mean(1, keepdim=True)
    chosen: list[int] = []
    for _ in range(min(count, len(rest))):
        variance = rest.square().sum(1)
        variance[chosen] = -1
        chosen.append(int(variance.argmax()))
        direction = F.normalize(rest[chosen[-1]], dim=0)
        rest = rest - torch.outer(rest @ direction, direction)
    return chosen


def heat(values: Tensor, limits: tuple[float, float], *, side: int = SIDE) -> str:
    """Return a map (h, w) in the colors of viridis, from dark at the lower limit to yellow.

    Where both limits are nearly the same, it has the color between.
    """
    low, high = limits
    small = reduced(values[None], side)[0]
    if high - low <= FLAT * max(abs(low), abs(high)):  # no more than rounding
        low, high = low - 1, high + 1
    levels = ((small - low) / (high - low)).clamp(0, 1) * (COLORS - 1)
    return png(levels.round().to(torch.uint8).numpy(), _viridis())


def png(ids: np.ndarray, palette: np.ndarray) -> str:
    """Return ids (h, w) uint8 in the colors of a palette (colors, 3) uint8."""
    used = int(ids.max()) + 1  # the rest of the palette is bytes for nothing
    return _address(encode(ids, "PNG", palette=palette[:used]), "png")


def labels(ids: np.ndarray, palette: np.ndarray, *, side: int = PHOTO) -> str:
    """Return class ids (H, W) in their colors, by the nearest pixel of a picture of `side`."""
    rows, columns = _fitted(ids.shape, side)
    down, across = (
        (np.arange(new) + 0.5) * old // new
        for new, old in zip((rows, columns), ids.shape, strict=True)
    )
    return png(ids[np.ix_(down.astype(int), across.astype(int))], palette)


def photo(pixels: np.ndarray, *, side: int = PHOTO) -> str:
    """Return an image (H, W, 3) uint8."""
    rows, columns = _fitted(pixels.shape[:2], side)
    small = Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BOX)
    return _address(encode(np.asarray(small), "JPEG"), "jpeg")


def denormalized(image: Tensor, *, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Return the pixels (H, W, 3) uint8 of a normalized image (3, H, W)."""
    scale, shift = (torch.tensor(values).view(3, 1, 1) for values in (std, mean))
    levels = (image.float().cpu() * scale + shift) * 255
    return levels.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()


def reduced(maps: Tensor, side: int) -> Tensor:
    """Return maps (..., h, w), averaged over neighbors so that no side is longer than `side`."""
    return F.adaptive_avg_pool2d(maps.float().cpu(), _fitted(maps.shape[-2:], side))


def _fitted(size: Sequence[int], side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _address(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


@lru_cache(maxsize=1)
def _viridis() -> np.ndarray:
    from matplotlib import colormaps

    colors: np.ndarray = (colormaps["viridis"](np.linspace(0, 1, COLORS))[:, :3] * 255).round()
    return colors.astype(np.uint8)
