"""CPU seconds of a training sample, from files to a batch, beside other code's pipelines.

    python -m benchmarks.loading [--rounds N] [--images N] [--folder FOLDER]

One process loads batches of eight; the pipelines take turns. Without `--folder` the files are
synthetic: JPEGs of VOC's size and PNGs of Cityscapes'. A folder is one of `pspnet.data.Folder`'s
form. Ours and mmsegmentation hand over bytes, which the network's device normalizes; `ours,
normalized` does so as well on the CPU, as the others do.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate

from benchmarks.published.augmentation import Stepwise, composition
from benchmarks.published.pipelines import loader
from benchmarks.synthetic import MEAN, STD, Size, random_image, random_label
from benchmarks.timing import Call, alternate, spread
from pspnet.data import Folder
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.base import Sample
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.data.transforms.normalize import normalize
from pspnet.data.transforms.seeding import seed_transform

BATCH = 8
CLASSES = 19
PUBLISHED = Augmentation()
MMSEG = replace(PUBLISHED, rotation=0.0, blur=0.0, photometric=1.0, max_class_share=0.75)
Load = Callable[[Path, Path, Random], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Files:
    """Files to load, and the side of their crops."""

    name: str
    root: Path
    crop: int


def calls(files: Files) -> dict[str, Call]:
    """Return calls that load an epoch, by pipeline."""
    samples = Folder(files.root).samples("train")
    stepwise = Stepwise(files.crop, mean=MEAN, std=STD)
    pipelines: dict[str, Load] = {
        "semseg": lambda image, label, draw: stepwise(*read(image, label), draw=draw),
        "albumentations": _in_albumentations(files.crop),
        "torchvision v2": loader("torchvision v2", crop=files.crop),
        "mmsegmentation": loader("mmsegmentation", crop=files.crop),
    }
    cache = files.root / "cache"
    return {
        "ours": _ours(files, PUBLISHED),
        "ours, cached": _ours(files, PUBLISHED, cache=cache),
        "ours, normalized": _ours(files, PUBLISHED, normalized=True),
        "ours, cached, normalized": _ours(files, PUBLISHED, cache=cache, normalized=True),
        **{name: _theirs(samples, load) for name, load in pipelines.items()},
        "ours, mmsegmentation's steps": _ours(files, MMSEG),
        "ours, mmsegmentation's steps, cached": _ours(files, MMSEG, cache=cache),
    }


def _ours(
    files: Files, augmentation: Augmentation, *, cache: Path | None = None, normalized: bool = False
) -> Call:
    data = SegmentationData(
        Folder(files.root),
        crop_size=files.crop,
        batch_size=BATCH,
        workers=0,
        augmentation=augmentation,
        cache=cache,
        check=False,
    )
    data.setup("fit")
    batches = data.train_dataloader()

    def call() -> None:
        for batch in batches:
            if normalized:
                normalize(batch["image"], mean=MEAN, std=STD)

    return call


def _theirs(samples: Sequence[Sample], load: Load) -> Call:
    draw = Random(0)

    def call() -> None:
        for start in range(0, len(samples) - BATCH + 1, BATCH):
            part = samples[start : start + BATCH]
            default_collate([load(s.image, s.label, draw) for s in part if s.label is not None])

    return call


def read(image: Path, label: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return an image, RGB, and its label by OpenCV, as semseg's data set does."""
    pixels, ids = cv2.imread(str(image), cv2.IMREAD_COLOR), cv2.imread(str(label), 0)
    assert pixels is not None
    assert ids is not None
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), ids


def _in_albumentations(crop: int) -> Load:
    transform = composition(crop=crop, mean=MEAN, std=STD)

    def load(image: Path, label: Path, draw: Random) -> tuple[Tensor, Tensor]:
        pixels, ids = read(image, label)
        seed_transform(transform, seed=draw.randrange(2**31))
        pair = transform(image=pixels, mask=ids)
        return pair["image"], pair["mask"]

    return load


def write_files(root: Path, *, size: Size, number: int, suffix: str) -> None:
    """Write synthetic images and labels as a `Folder`, and one more to validate on."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    names = [f"{index:03}" for index in range(number + 1)]
    for index, name in enumerate(names):
        image = Image.fromarray(random_image(size, seed=index))
        image.save(root / "images" / f"{name}.{suffix}", quality=90)
        label = Image.fromarray(random_label(size, classes=CLASSES, seed=index))
        label.save(root / "masks" / f"{name}.png")
    (root / "classes.yaml").write_text(f"names: {[f'c{index}' for index in range(CLASSES)]}\n")
    (root / "train.txt").write_text("".join(f"{name}\n" for name in names[1:]))
    (root / "val.txt").write_text(f"{names[0]}\n")


def folders(folder: Path | None, *, images: int, scratch: Path) -> Iterator[Files]:
    """Yield the given folder, or synthetic JPEGs and PNGs."""
    if folder is not None:
        yield Files(str(folder), folder, 473)
        return
    for suffix, size, crop in (("jpg", (375, 500), 473), ("png", (1024, 2048), 713)):
        write_files(scratch / suffix, size=size, number=images, suffix=suffix)
        yield Files(f"{size[1]}×{size[0]} {suffix.upper()} to {crop}²", scratch / suffix, crop)


def main() -> None:
    """Print a table of each pipeline's images per second and core, and its ratio to ours."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=32, help="of each kind of file")
    parser.add_argument("--folder", type=Path, help="data set of your own, see docs/DATA.md")
    words = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with TemporaryDirectory(prefix="pspnet-bench-") as scratch:
        for files in folders(words.folder, images=words.images, scratch=Path(scratch)):
            epochs = calls(files)
            for call in epochs.values():  # fills the cache
                call()
            number = len(Folder(files.root).samples("train")) // BATCH * BATCH
            seconds = alternate(epochs, rounds=words.rounds, clock=_cpu)
            print(f"\n| {files.name} | images/s and core | CPU ms | CPU time, × ours |")
            print("|---|--:|--:|--:|")
            for name, times in seconds.items():
                per_image = spread(times).median / number
                ratio = spread([a / b for a, b in zip(times, seconds["ours"], strict=True)])
                print(
                    f"| {name} | {1 / per_image:.0f} | {1000 * per_image:.1f} |"
                    f" {ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] |",
                    flush=True,
                )


def _cpu(call: Call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    main()
