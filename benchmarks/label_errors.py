"""Precision of the ranking of likely label errors, on validation labels corrupted on purpose.

    python -m benchmarks.label_errors logs/scenes_pspnet/version_0/checkpoints/best.ckpt > table.md
    python -m benchmarks.label_errors CKPT --root path/to/camvid --seeds 100

5, 10 and 20 % of the labels are given one error each, in turn a swap, a shift and a drop, see
`benchmarks.corrupted_labels`. Labels that were wrong before count as right.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.corrupted_labels import KINDS, corrupt
from pspnet.data.image_io import read_image
from pspnet.errors import one_line_errors
from pspnet.evaluation.image_scores import score_image
from pspnet.evaluation.label_quality import label_probability, softmin
from pspnet.inference.class_scores import predict
from pspnet.inference.protocols import Protocol
from pspnet.inference.single_pass import FeatureLogits
from pspnet.tools.explain.load import Run, load

RATES = (0.05, 0.1, 0.2)
RANKINGS = ("label quality (softmin)", "mean probability", "IoU", "right pixels")
COLUMNS = (
    "corrupted",
    "ranking",
    "precision, %",
    "average precision, %",
    *(f"{kind}, %" for kind in KINDS),
)


@dataclass(frozen=True)
class Evaluated:
    """An image with its label and what the network says of it."""

    label: np.ndarray
    prediction: np.ndarray
    scores: FeatureLogits | Tensor
    protocol: Protocol
    num_classes: int

    @cached_property
    def clean(self) -> tuple[float, ...]:
        """The scores of the label as it is."""
        return self.rank(self.label)

    def rank(self, label: np.ndarray) -> tuple[float, ...]:
        """Return the score of a label in each of `RANKINGS`; low where it is likely wrong."""
        target = torch.from_numpy(label).long()
        probability = label_probability(self.scores, 0, target, self.protocol)
        quality = softmin(probability)
        score, _ = score_image(
            self.prediction, label, name="", num_classes=self.num_classes, quality=quality
        )
        return quality, float(probability.mean()), score.miou, score.accuracy


def evaluated(run: Run) -> Iterator[Evaluated]:
    """Yield the validation images of a run."""
    source, classes = run.data.source, len(run.classes)
    source.prepare()
    for sample in source.samples("val"):
        image = torch.from_numpy(read_image(sample.image))[None].permute(0, 3, 1, 2)
        normalized = run.data.on_after_batch_transfer({"image": image}, 0)["image"]
        with torch.inference_mode():
            prediction, scores = predict(run.network, normalized, run.protocol)
        label = source.read_label(sample)
        yield Evaluated(label, prediction[0].numpy(), scores, run.protocol, classes)


@dataclass(frozen=True)
class Trial:
    """One corruption of the labels.

    Args:
        kinds: index in `KINDS` of each image's error, -1 of none, (images,).
        values: the score of each image's label in each of `RANKINGS`, (images, RANKINGS).
    """

    kinds: np.ndarray
    values: np.ndarray

    def found(self, ranking: int) -> np.ndarray:
        """Return the shares that are among the k lowest of k errors: of all, and of each kind."""
        first = np.argsort(self.values[:, ranking], kind="stable")[: int((self.kinds >= 0).sum())]
        counts = np.bincount(self.kinds[self.kinds >= 0], minlength=len(KINDS))
        hits = np.bincount(self.kinds[first][self.kinds[first] >= 0], minlength=len(KINDS))
        return np.array([hits.sum() / counts.sum(), *(hits / np.maximum(counts, 1))])


def trial(images: Sequence[Evaluated], *, rate: float, seed: int) -> Trial:
    """Give a share of the labels one error each, and score all."""
    generator = np.random.default_rng([seed, round(1000 * rate)])
    kinds = np.full(len(images), -1)
    values = np.array([image.clean for image in images])
    wanted = max(1, round(rate * len(images)))
    for index in generator.permutation(len(images)):
        done = int((kinds >= 0).sum())
        if done == wanted:
            break
        image, kind = images[index], done % len(KINDS)
        wrong = corrupt(
            image.label, KINDS[kind], num_classes=image.num_classes, generator=generator
        )
        if wrong is not None:
            kinds[index], values[index] = kind, image.rank(wrong)
    return Trial(kinds, values)


def average_precision(wrong: np.ndarray, values: np.ndarray) -> float:
    """Return the mean over all errors of the precision down to each, the lowest value first."""
    sorted_wrong = wrong[np.argsort(values, kind="stable")]
    precision = np.cumsum(sorted_wrong) / np.arange(1, len(wrong) + 1)
    return float(precision[sorted_wrong].mean())


def rows(images: Sequence[Evaluated], *, rate: float, seeds: int) -> Iterator[str]:
    """Yield the rows of the table for one share of errors, chance last."""
    trials = [trial(images, rate=rate, seed=seed) for seed in range(seeds)]
    counts = np.bincount(trials[0].kinds + 1, minlength=len(KINDS) + 1)[1:]
    said = f"{counts.sum()} of {len(images)}"
    for ranking, name in enumerate(RANKINGS):
        found = 100 * np.array([it.found(ranking) for it in trials])
        areas = [average_precision(it.kinds >= 0, it.values[:, ranking]) for it in trials]
        mean, spread = found.mean(0), found[:, 0].std(ddof=1)
        precision = f"{mean[0]:.1f} ± {spread:.1f}"
        area = f"{100 * np.mean(areas):.1f} ± {100 * np.std(areas, ddof=1):.1f}"
        yield _line([said, name, precision, area, *(f"{it:.0f}" for it in mean[1:])])
    chance = f"{100 * counts.sum() / len(images):.1f}"
    yield _line([said, "chance", chance, chance, *[f"{float(chance):.0f}"] * len(KINDS)])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--root", type=Path, help="folder of the data set; that of the training")
    parser.add_argument(
        "--seeds", type=int, default=100, help="2 or more corruptions of each share"
    )
    given = parser.parse_args()
    with one_line_errors():
        images = [*evaluated(load(given.checkpoint, root=given.root))]
        print(_line(COLUMNS))
        print(_line(["---"] * len(COLUMNS)), flush=True)
        for rate in RATES:
            print("\n".join(rows(images, rate=rate, seeds=given.seeds)), flush=True)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
