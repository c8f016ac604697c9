"""Options that the data proposes, as YAML: class weights, mean and std, sizes, time and memory."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

import numpy as np

from pspnet.data.datamodule import SegmentationData
from pspnet.data.dataset import SegmentationDataset
from pspnet.data.datasets.classes import Classes
from pspnet.data.facts.class_weights import class_weights
from pspnet.data.facts.crop_fill import low_fill
from pspnet.data.facts.findings import Finding, Seen

TIMED = 12  # crops


def propose(data: SegmentationData, seen: Sequence[Seen], classes: Classes) -> dict[str, Any]:
    """Return what the training split proposes, {} where it cannot be trained on."""
    train = [it for it in seen if it.split == "train"]
    if not train or any(it.facts.errors or not it.facts.labeled for it in train):
        return {}
    counts = np.array([it.facts.counts[:-1] for it in train])
    mean, std = color_statistics(train)
    return {
        "class_weights": {
            # significant digits, as 0 would leave a frequent class untrained
            name: {key: float(f"{it:.4g}") for key, it in zip(classes.names, weights, strict=True)}
            for name, weights in class_weights(counts).items()
        },
        "data": {
            "mean": np.round(mean, 4).tolist(),
            "std": np.round(np.maximum(std, 1 / 255), 4).tolist(),  # 0 is refused
            "crop_size": crop_size(train),
        },
        "base_size": int(np.median([max(it.facts.size) for it in train if it.facts.size])),
        "cost": _cost(data, train),
    }


def color_statistics(seen: Sequence[Seen]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation per channel over all pixels, 0 to 1, (C,) each."""
    areas = np.array([np.prod(it.facts.size or (0, 0)) for it in seen], np.float64)[:, None]
    mean = (areas * [it.facts.mean for it in seen]).sum(0) / areas.sum()
    square = (areas * [it.facts.square for it in seen]).sum(0) / areas.sum()
    return mean / 255, np.sqrt(np.maximum(0, square - mean**2)) / 255


def crop_size(seen: Sequence[Seen]) -> int:
    """Return the largest 8n + 1 up to 713 that half of the images hold in their shorter side.

    Sizes of 8n + 1 keep the corners of features of stride 8 on the corners of the crop.
    """
    shorter = float(np.median([min(it.facts.size) for it in seen if it.facts.size]))
    return max(33, min(713, int(shorter - 1) // 8 * 8 + 1))


def crop_findings(data: SegmentationData, seen: Sequence[Seen]) -> list[Finding]:
    """Return a warning if training images are small for the crops."""
    train = [it for it in seen if it.split == "train" and it.facts.size is not None]
    sizes = [it.facts.size for it in train if it.facts.size is not None]
    fill = low_fill(data.augmentation, sizes, data.crop_size)
    if fill is None:
        return []
    height, width = data.crop_size
    text = (
        f"train: the median image fills {fill:.0%} of a crop of {width}×{height}, and the rest is"
        f" padding, which is ignored; give data.crop_size={crop_size(train)}"
    )
    return [Finding("warning", "small for the crop", text)]


def _cost(data: SegmentationData, train: Sequence[Seen]) -> dict[str, Any]:
    """Return the time to load an epoch, measured on some crops, and a batch's memory."""
    chosen = [train[int(k)].sample for k in np.linspace(0, len(train) - 1, TIMED)]
    transform = data.augmentation.build(crop_size=data.crop_size, mean=data.mean)
    read_label, channels = data.source.read_label, data.channels
    dataset = SegmentationDataset(
        chosen, read_label=read_label, transform=transform, channels=channels
    )
    _ = dataset[0]
    begun = monotonic()
    for number in range(1, len(dataset)):
        _ = dataset[number]
    each = (monotonic() - begun) / (len(dataset) - 1)
    steps = len(train) // data.batch_size
    area = data.crop_size[0] * data.crop_size[1]
    return {
        "crop_size": list(data.crop_size),
        "batch_size": data.batch_size,
        "steps_per_epoch": steps,
        "seconds_per_crop": round(each, 5),
        "workers": data.workers,
        "loading_seconds_per_epoch": round(each * len(train) / max(1, data.workers), 1),
        # float32 images and int64 labels, as the network takes them
        "batch_megabytes": round(data.batch_size * area * (len(channels) * 4 + 8) / 2**20, 1),
    }
