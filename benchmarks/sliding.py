"""The published evaluation of an image, window by window, in numpy and OpenCV."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

STRIDE = 2 / 3
Network = Callable[[Tensor], Tensor]  # images (N, 3, H, W) to logits (N, C, H, W)


def class_map(
    network: Network,
    image: np.ndarray,
    *,
    classes: int,
    crop: int,
    base_size: int,
    scales: Sequence[float],
    mean: Sequence[float],
    std: Sequence[float],
    device: torch.device,
) -> np.ndarray:
    """Class ids (H, W) of the mean probabilities over scales, windows and mirror images.

    Args:
        network: in evaluation mode.
        image: (H, W, 3) float32, 0 to 255.
        classes: number C.
        crop: side of the windows.
        base_size: long side of the image at scale 1.
        scales: relative to it.
        mean: of R, G and B, 0 to 1.
        std: likewise.
        device: of the network.

    Source: semseg's tool/test.py.
    """
    height, width, _ = image.shape
    color = [255 * value for value in mean]
    spread = [255 * value for value in std]
    total = np.zeros((height, width, classes))
    for scale in scales:
        long = round(scale * base_size)
        other = round(long / max(height, width) * min(height, width))
        size = (other, long) if height > width else (long, other)  # width, height
        scaled = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        padded, rows, columns = _padded(scaled, crop=crop, color=color)
        scores = np.zeros((*padded.shape[:2], classes))
        count = np.zeros(padded.shape[:2])
        for place in _windows(padded.shape[:2], crop=crop):
            window = _to_tensor(padded[place], mean=color, std=spread)
            scores[place] += _probabilities(network, window.to(device))
            count[place] += 1
        scores = (scores / count[..., None])[rows, columns]
        total += cv2.resize(scores, (width, height), interpolation=cv2.INTER_LINEAR)
    winner: np.ndarray = (total / len(scales)).argmax(2)
    return winner


def _padded(
    image: np.ndarray, *, crop: int, color: Sequence[float]
) -> tuple[np.ndarray, slice, slice]:
    """The image at least as large as a window, and where it is in that."""
    height, width = image.shape[:2]
    lack = [max(crop - side, 0) for side in (height, width)]
    top, left = (pixels // 2 for pixels in lack)
    border = (top, lack[0] - top, left, lack[1] - left)
    if any(lack):
        image = cv2.copyMakeBorder(image, *border, cv2.BORDER_CONSTANT, value=color)
    return image, slice(top, top + height), slice(left, left + width)


def _windows(size: tuple[int, ...], *, crop: int) -> list[tuple[slice, slice]]:
    step = int(np.ceil(crop * STRIDE))
    ends = [
        [
            min(number * step + crop, side)
            for number in range(int(np.ceil((side - crop) / step)) + 1)
        ]
        for side in size
    ]
    return [(slice(b - crop, b), slice(r - crop, r)) for b in ends[0] for r in ends[1]]


def _to_tensor(window: np.ndarray, *, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    image = torch.from_numpy(window.transpose(2, 0, 1).copy())
    for channel, center, scale in zip(image, mean, std, strict=True):
        channel.sub_(center).div_(scale)
    return image[None]  # (1, 3, crop, crop)


def _probabilities(network: Network, window: Tensor) -> np.ndarray:
    """Of a window and its mirror image, averaged, (crop, crop, C)."""
    with torch.no_grad():
        both = network(torch.cat([window, window.flip(3)])).float().softmax(1)
    mean = (both[0] + both[1].flip(2)) / 2
    scores: np.ndarray = mean.cpu().numpy().transpose(1, 2, 0)
    return scores
