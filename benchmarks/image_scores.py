"""CPU seconds that the scores of single images add to an evaluation, as a Markdown table.

    OMP_NUM_THREADS=1 python -m benchmarks.image_scores CKPT --root ROOT --images 60

An evaluation is reading, network, loss and mIoU of single images, in bfloat16.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from pspnet.callbacks.failures.pictures import Shelf, Thumbnail
from pspnet.callbacks.prediction_writers import denormalize, to_uint8
from pspnet.data.datasets.base import Sample
from pspnet.data.image_io import read_image
from pspnet.errors import one_line_errors
from pspnet.evaluation.image_scores import score_image
from pspnet.evaluation.label_quality import label_quality
from pspnet.inference.class_scores import predict
from pspnet.inference.single_pass import FeatureLogits
from pspnet.task import Segmentation
from pspnet.tools.explain.load import Run, load

T = TypeVar("T")


class Clock:
    """CPU seconds of this thread by part."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def __call__(self, part: str, work: Callable[[], T]) -> T:
        start = time.thread_time()
        found = work()
        self.seconds[part] += time.thread_time() - start
        return found


def measure(sample: Sample, run: Run, task: Segmentation, shelf: Shelf, clock: Clock) -> None:
    """Evaluate one image, and add the time of each part."""
    source, classes = run.data.source, len(run.classes)
    pixels, label = clock(
        "evaluation", lambda: (read_image(sample.image), source.read_label(sample))
    )
    image = run.data.on_after_batch_transfer(
        {"image": torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)}, 0
    )["image"]
    target = torch.from_numpy(label)[None].long()
    prediction, scores = clock(
        "evaluation", lambda: predict(task.inference_network, image, task.protocol)
    )
    assert isinstance(scores, FeatureLogits)
    clock("evaluation", lambda: task.evaluation.update(prediction, target))
    clock("evaluation", lambda: scores.loss(task.loss.chunked, target, ignore_index=255))  # type: ignore[arg-type]
    quality = clock("label quality", lambda: label_quality(scores, 0, target[0], task.protocol))
    found = to_uint8(prediction[0])
    row, _ = clock(
        "IoU and boundaries",
        lambda: score_image(found, label, name=sample.name, num_classes=classes, quality=quality),
    )
    show = lambda: Thumbnail.of(denormalize(image[0], run.data), label, found)  # noqa: E731
    clock("thumbnails", lambda: shelf.offer(row, show))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--root", type=Path, help="folder of the data set; that of the training")
    parser.add_argument("--images", type=int, default=60, help="of the val split")
    given = parser.parse_args()
    with one_line_errors(), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        run = load(given.checkpoint, root=given.root)
        task = Segmentation.load_from_checkpoint(given.checkpoint, map_location="cpu").eval()
        task.inference_copy.update(task.network)
        run.data.source.prepare()
        samples, shelf = run.data.source.samples("val")[: given.images], Shelf()
        measure(samples[0], run, task, shelf, Clock())  # the first is slower
        clock = Clock()
        for sample in samples:
            measure(sample, run, task, shelf, clock)
    added = sum(clock.seconds.values()) - clock.seconds["evaluation"]
    share = f"{100 * added / clock.seconds['evaluation']:.1f}"
    cells = [f"{1000 * it / len(samples):.1f}" for it in clock.seconds.values()]
    print(f"| {' | '.join([*clock.seconds, 'added, %'])} |\n|{'---|' * (len(cells) + 1)}")
    print(f"| {' | '.join([*cells, share])} |")


if __name__ == "__main__":
    main()
