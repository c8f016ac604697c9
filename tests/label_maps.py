"""Random predictions and targets, and their scores counted pixel by pixel."""

import math

import numpy as np
import torch

CLASSES = 6


def batch(seed: int, *, ignored: float = 0.2):
    """Prediction, target and weights, (3, 5, 7); class 4 never occurs, 5 is never a target."""
    draw = np.random.default_rng(seed)
    preds = draw.choice([0, 1, 2, 3, 5], (3, 5, 7))
    target = np.where(draw.random(preds.shape) < 0.5, preds, draw.integers(0, 4, preds.shape))
    target[target == 5] = 0
    target[draw.random(target.shape) < ignored] = 255
    # multiples of 1/8: their sums are exact, so they do not depend on the order
    weight = draw.integers(0, 17, target.shape) / 8
    return torch.from_numpy(preds), torch.from_numpy(target), torch.from_numpy(weight).float()


def counted(preds, target, weight=None) -> np.ndarray:
    """The confusion matrix, pixel by pixel."""
    matrix = np.zeros((CLASSES, CLASSES))
    for index in np.ndindex(*target.shape):
        if target[index] != 255:
            matrix[target[index], preds[index]] += 1 if weight is None else weight[index]
    return matrix


def reference_ious(preds, target, weight=None) -> list[float]:
    """IoU by sets of pixels, not by a matrix."""
    counts = (target != 255).double() * (1 if weight is None else weight)
    ious = []
    for index in range(CLASSES):
        both = (((preds == index) & (target == index)) * counts).sum().item()
        either = (((preds == index) | (target == index)) * counts).sum().item()
        ious.append(both / either if either else math.nan)
    return ious


def missed(preds, target, *, value: int = 255):
    """The prediction, with about a fifth of its pixels of no class, and the target."""
    draw = np.random.default_rng(7)
    return torch.where(torch.from_numpy(draw.random(target.shape) < 0.2), value, preds), target
