"""Scores of a data set without parts of the pyramid's output, and how certain the losses are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pspnet.data.datasets.classes import IGNORE
from pspnet.evaluation.confusion_matrix import confusion_matrix
from pspnet.inference.class_scores import predict
from pspnet.inference.protocols import Protocol
from pspnet.models.pspnet import PSPNet
from pspnet.tools.explain.pyramid_parts import NOTHING, ablated, remember_features, variants

Replacement = Literal["mean", "zero"]
Pair = tuple[Tensor, Tensor]  # image (3, H, W) normalized, label (H, W) of train ids and 255
ROUNDS = 1000  # of the bootstrap


@dataclass(frozen=True)
class Ablation:
    """Confusion matrices of a data set without parts of the pyramid's output.

    Args:
        matrices: (C, C), by what is ablated and what replaces it.
        counts: by what is ablated, replaced by its mean: for each image and class the pixels that
            are right, predicted and labeled, (images, 3, C).
    """

    matrices: dict[tuple[str, Replacement], Tensor]
    counts: dict[str, np.ndarray]


def ablate(
    network: PSPNet, pairs: Iterable[Pair], means: Mapping[str, Tensor], protocol: Protocol
) -> Ablation:
    """Evaluate images without each part of the pyramid's output in turn.

    Args:
        network: in evaluation mode, one for which `why_no_parts` is None.
        pairs: images and labels.
        means: by part, its mean (channels,) over the data set.
        protocol: how images are evaluated.
    """
    weight = next(network.parameters())
    matrices: dict[tuple[str, Replacement], Tensor] = {}
    counts: dict[str, list[np.ndarray]] = {}
    for image, label in pairs:
        for key, matrix in _matrices(network, image.to(weight), label, means, protocol):
            matrices[key] = matrices.get(key, 0) + matrix
            if key[1] == "mean":
                kept = torch.stack([matrix.diag(), matrix.sum(0), matrix.sum(1)])
                counts.setdefault(key[0], []).append(kept.numpy())
    return Ablation(matrices, {name: np.stack(rows) for name, rows in counts.items()})


def loss_intervals(counts: Mapping[str, np.ndarray], variant: str, *, seed: int = 0) -> np.ndarray:
    """Return bounds of each class's loss of IoU, (2, C): 95 % of resampled data sets lie between.

    A bootstrap over the images, the same ones with and without the part. nan where a class is in
    too few images to tell.

    Args:
        counts: as in `Ablation`.
        variant: what is ablated.
        seed: of the resampling.
    """
    images, _, classes = counts[NOTHING].shape
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(images, np.full(images, 1 / images), size=ROUNDS)
    before, after = (
        _iou((weights @ counts[name].reshape(images, -1).astype(float)).reshape(-1, 3, classes))
        for name in (NOTHING, variant)
    )
    losses = before - after  # (rounds, C)
    rare = np.isnan(losses).mean(0) > 0.5
    bounds: np.ndarray = np.nanpercentile(np.where(rare, 0, losses), (2.5, 97.5), axis=0)
    bounds[:, rare] = np.nan
    return bounds


def _matrices(
    network: PSPNet,
    image: Tensor,
    label: Tensor,
    means: Mapping[str, Tensor],
    protocol: Protocol,
) -> Iterator[tuple[tuple[str, Replacement], Tensor]]:
    replacements: tuple[tuple[Replacement, Mapping[str, Tensor] | None], ...]
    replacements = (("mean", means), ("zero", None))
    with torch.no_grad(), remember_features(network.encoder):
        for name, parts in variants(network).items():
            for replacement, values in replacements:
                if parts or replacement == "mean":
                    with ablated(network, parts, values):
                        predicted = predict(network, image[None], protocol)[0].cpu()
                    matrix = confusion_matrix(
                        predicted,
                        label[None].cpu(),
                        num_classes=network.num_classes,
                        ignore_index=IGNORE,
                    )
                yield (name, replacement), matrix


def _iou(counts: np.ndarray) -> np.ndarray:
    right, predicted, labeled = counts[:, 0], counts[:, 1], counts[:, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: np.ndarray = right / (predicted + labeled - right)
    return shares
