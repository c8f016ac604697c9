"""The published evaluation of an image, window by window, in numpy and OpenCV."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

STRIDE = 2 / 3  # of a window
Network = Callable[[Tensor], Tensor]  # images (N, 3, H, W) to logits (N, C, H, W)
Window = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True)
class SlidingWindow:
    """Class ids of the mean probabilities over scales, windows and horizontal flips.

    Args:
        network: in evaluation mode.
        classes: number of classes C.
        crop: side of the windows.
        base_size: long side of the image at scale 1.
        scales: sizes relative to that.
        mean: mean of R, G and B, 0 to 1.
        std: standard deviation, likewise.
        device: device of the network.

    Source: semseg's tool/test.py.
    """

    network: Network
    classes: int
    crop: int
    base_size: int
    scales: Sequence[float]
    mean: Sequence[float]
    std: Sequence[float]
    device: torch.device

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return class ids (H, W) of an image (H, W, 3) float32, 0 to 255."""
        height, width, _ = image.shape
        total = np.zeros((height, width, self.classes))
        for scale in self.scales:
            long = round(scale * self.base_size)
            short = round(long / max(height, width) * min(height, width))
            size = (short, long) if height > width else (long, short)  # width, height
            scaled = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
            scores = self._scores(scaled)
            total += cv2.resize(scores, (width, height), interpolation=cv2.INTER_LINEAR)
        winner: np.ndarray = (total / len(self.scales)).argmax(2)
        return winner

    def _scores(self, image: np.ndarray) -> np.ndarray:
        """Return probabilities (h, w, C) of a scaled image, averaged where windows overlap."""
        padded, rows, columns = self._padded(image)
        scores = np.zeros((*padded.shape[:2], self.classes))
        count = np.zeros(padded.shape[:2])
        for window in _windows(padded.shape[:2], crop=self.crop):
            scores[window] += self._probabilities(padded[window])
            count[window] += 1
        averaged: np.ndarray = (scores / count[..., None])[rows, columns]
        return averaged

    def _padded(self, image: np.ndarray) -> tuple[np.ndarray, slice, slice]:
        """Pad the image to a window at least; return it with its rows and columns in there."""
        height, width = image.shape[:2]
        lack = [max(self.crop - side, 0) for side in (height, width)]
        top, left = (pixels // 2 for pixels in lack)
        border = (top, lack[0] - top, left, lack[1] - left)
        if any(lack):
            color = [255 * value for value in self.mean]
            image = cv2.copyMakeBorder(image, *border, cv2.BORDER_CONSTANT, value=color)
        return image, slice(top, top + height), slice(left, left + width)

    def _probabilities(self, window: np.ndarray) -> np.ndarray:
        """Return probabilities (crop, crop, C), averaged over the window and its flip."""
        image = torch.from_numpy(window.transpose(2, 0, 1).copy())
        for channel, center, scale in zip(image, self.mean, self.std, strict=True):
            channel.sub_(255 * center).div_(255 * scale)
        batch = image[None].to(self.device)  # (1, 3, crop, crop)
        with torch.no_grad():
            both = self.network(torch.cat([batch, batch.flip(3)])).float().softmax(1)
        mean = (both[0] + both[1].flip(2)) / 2
        scores: np.ndarray = mean.cpu().numpy().transpose(1, 2, 0)
        return scores


def _windows(size: tuple[int, ...], *, crop: int) -> Iterator[Window]:
    bottoms, rights = (_window_ends(side, crop=crop) for side in size)
    for bottom in bottoms:
        for right in rights:
            yield slice(bottom - crop, bottom), slice(right - crop, right)


def _window_ends(side: int, *, crop: int) -> list[int]:
    step = math.ceil(crop * STRIDE)
    number = math.ceil((side - crop) / step) + 1
    return [min(index * step + crop, side) for index in range(number)]
