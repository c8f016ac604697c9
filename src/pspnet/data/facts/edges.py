"""Edges of a label against those of its image: at its place, and at other offsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

SIDE = 160  # pixels of the longer side at which edges are compared
REACH = 20  # offsets that are tried, in those pixels, in each direction
SMALL = 24  # height and width of the pictures of edges that are kept


@dataclass(frozen=True, eq=False)
class Edges:
    """Scores of a label's edges against those of its image, at its place and at the best offset.

    A score is the mean strength of image edges below the label's edges, in standard deviations of
    the scores at all offsets.

    Args:
        share: share of the pixels that are edges of the label, 0 without an edge.
        here: the score at the label's own place.
        best: the highest score of all offsets.
        offset: rows and columns, as shares of the image's height and width, by which the label
            would have to move for it.
        image: strength of the image's edges, (SMALL, SMALL) uint8.
        label: density of the label's edges, likewise.
    """

    share: float
    here: float
    best: float
    offset: tuple[float, float]
    image: np.ndarray
    label: np.ndarray

    def plain(self) -> list[float]:
        """Return all numbers, as JSON takes them."""
        return [self.share, self.here, self.best, *self.offset]

    @classmethod
    def from_plain(cls, numbers: list[Any], image: np.ndarray, label: np.ndarray) -> Edges:
        """Return the edges that `plain` and the two pictures describe."""
        share, here, best, down, right = numbers
        return cls(share, here, best, (down, right), image, label)


_BLANK = np.zeros((SMALL, SMALL), np.uint8)
NO_EDGES = Edges(0.0, 0.0, 0.0, (0.0, 0.0), _BLANK, _BLANK)


def compare_edges(gray: np.ndarray, label: np.ndarray) -> Edges:
    """Compare the edges of an image (H, W) uint8 with those of its label of the same size."""
    scale = min(1.0, SIDE / max(gray.shape))
    width, height = (max(1, round(side * scale)) for side in gray.shape[::-1])
    strength = _strength(cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA))
    border = _border(cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST_EXACT))
    pictures = (_small(strength), _small(border))
    if not border.any() or not strength.any() or min(height, width) < 8:
        return Edges(0.0, 0.0, 0.0, (0.0, 0.0), *pictures)
    scores = _scores(strength, border)
    spread = scores.std() or 1.0
    scores = (scores - scores.mean()) / spread
    rows, columns = (side // 2 for side in scores.shape)
    row, column = np.unravel_index(scores.argmax(), scores.shape)
    return Edges(
        share=float(border.mean()),
        here=float(scores[rows, columns]),
        best=float(scores[row, column]),
        offset=(float(row - rows) / height, float(column - columns) / width),
        image=pictures[0],
        label=pictures[1],
    )


def _scores(strength: np.ndarray, border: np.ndarray) -> np.ndarray:
    """Return the mean strength below the border at each offset, up and left first."""
    reach = [min(REACH, side // 4) for side in border.shape]
    padded = [
        cv2.getOptimalDFTSize(side + most) for side, most in zip(border.shape, reach, strict=True)
    ]
    centered = strength - strength.mean()
    spectrum = np.fft.rfft2(centered, padded) * np.conj(np.fft.rfft2(border, padded))
    scores = np.fft.irfft2(spectrum, padded)
    rows, columns = (np.arange(-most, most + 1) for most in reach)
    chosen: np.ndarray = scores[np.ix_(rows, columns)] / border.sum()
    return chosen


def _strength(gray: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(gray, (3, 3), 0).astype(np.float32)
    right, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    strength = np.sqrt(right**2 + down**2)
    top = np.percentile(strength, 95) or strength.max() or 1.0  # a few strong edges must not rule
    clipped: np.ndarray = np.minimum(strength / top, 1.0)
    return clipped


def _border(label: np.ndarray) -> np.ndarray:
    """Return 1.0 at pixels on both sides of an edge, (H, W) float32."""
    border = np.zeros(label.shape, bool)
    down, right = label[1:] != label[:-1], label[:, 1:] != label[:, :-1]
    for part, edge in ((np.s_[1:], down), (np.s_[:-1], down)):
        border[part] |= edge
    for column, edge in ((np.s_[:, 1:], right), (np.s_[:, :-1], right)):
        border[column] |= edge
    return border.astype(np.float32)


def _small(picture: np.ndarray) -> np.ndarray:
    small = cv2.resize(picture, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    scaled: np.ndarray = np.round(255 * small).clip(0, 255).astype(np.uint8)
    return scaled
