"""Scores of a data set with parts of the decoder's input silenced, and how sure they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pspnet.data.datasets.classes import IGNORE
from pspnet.evaluation.metrics import confusion_matrix
from pspnet.models.pspnet import PSPNet
from pspnet.tools.explain.pyramid import WHOLE, Averages, logits, silenced, split, variants

Filling = Literal["mean", "zero"]  # what stands in place of a silenced part
Pair = tuple[Tensor, Tensor]  # image (3, H, W) normalized, label (H, W) of train ids and 255
ROUNDS = 1000  # of the bootstrap


@dataclass(frozen=True)
class Silencing:
    """What an evaluation counted.

    Args:
        matrices: confusion matrix (C, C) by variant and what stood in place of what is silenced.
        counts: by variant with means in place, for each image and class the pixels that are right,
            predicted and true, (images, 3, C).
    """

    matrices: dict[tuple[str, Filling], Tensor]
    counts: dict[str, np.ndarray]


def averages(network: PSPNet, images: Iterable[Tensor]) -> Averages:
    """Means and sizes of the parts of the decoder's input over images, (3, H, W) each."""
    found = Averages()
    with torch.no_grad():
        for image in images:
            found.add(split(network, image[None]))
    return found


def silence(network: PSPNet, pairs: Iterable[Pair], means: Mapping[str, Tensor]) -> Silencing:
    """Evaluates images, each whole and in one pass, with every part silenced in turn.

    Args:
        network: in evaluation mode.
        pairs: images and labels.
        means: by part, its mean over the data set.
    """
    matrices: dict[tuple[str, Filling], Tensor] = {}
    counts: dict[str, list[np.ndarray]] = {}
    with torch.no_grad():
        for image, label in pairs:
            for key, matrix in _of_image(network, image, label, means):
                matrices[key] = matrices.get(key, 0) + matrix
                if key[1] == "mean":
                    kept = torch.stack([matrix.diag(), matrix.sum(0), matrix.sum(1)])
                    counts.setdefault(key[0], []).append(kept.numpy())
    return Silencing(matrices, {name: np.stack(rows) for name, rows in counts.items()})


def loss_intervals(counts: Mapping[str, np.ndarray], variant: str, *, seed: int = 0) -> np.ndarray:
    """Bounds of each class's loss of IoU, (2, C), between which 95 % of resampled data sets lie.

    A bootstrap over the images, the same ones with and without the part; nan where a class is in
    too few images to say.

    Args:
        counts: as in `Silencing`.
        variant: what is silenced.
        seed: of the resampling.
    """
    images, _, classes = counts[WHOLE].shape
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(images, np.full(images, 1 / images), size=ROUNDS)
    before, after = (
        _iou((weights @ counts[name].reshape(images, -1).astype(float)).reshape(-1, 3, classes))
        for name in (WHOLE, variant)
    )
    losses = before - after  # (rounds, C)
    rare = np.isnan(losses).mean(0) > 0.5
    bounds: np.ndarray = np.nanpercentile(np.where(rare, 0, losses), (2.5, 97.5), axis=0)
    bounds[:, rare] = np.nan
    return bounds


def _of_image(
    network: PSPNet, image: Tensor, label: Tensor, means: Mapping[str, Tensor]
) -> Iterator[tuple[tuple[str, Filling], Tensor]]:
    terms = split(network, image[None])
    fillings: tuple[tuple[Filling, Mapping[str, Tensor] | None], ...]
    fillings = (("mean", means), ("zero", None))
    for name, parts in variants(network).items():
        for filling, values in fillings:
            scores = logits(network, silenced(network, terms, parts, values), terms)
            predicted = scores.argmax(1)
            matrix = confusion_matrix(
                predicted, label[None], num_classes=network.num_classes, ignore_index=IGNORE
            )
            yield (name, filling), matrix.cpu()


def _iou(counts: np.ndarray) -> np.ndarray:
    right, predicted, true = counts[:, 0], counts[:, 1], counts[:, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: np.ndarray = right / (predicted + true - right)
    return shares
