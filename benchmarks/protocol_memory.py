"""Peak memory of evaluating one image under a protocol, as a Markdown table.

python -m benchmarks.protocol_memory > table.md

The network is narrow, so that the protocol's memory grows and not the network's. The peak is the
resident set's above that before the evaluation, in a process per row (Linux, CPU).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks import peak_memory
from benchmarks.ours import protocol
from benchmarks.plan import Size
from benchmarks.timing import Call
from pspnet.errors import UserError, one_line_errors
from pspnet.inference.class_scores import evaluate
from pspnet.inference.protocols import ProtocolName
from pspnet.models.pspnet import PSPNet

CPU, CROP, LARGEST_SCALE = torch.device("cpu"), 713, 1.75
COLUMNS = (
    "protocol",
    "image",
    "classes",
    "windows at once",
    "peak MiB",
    "scores MiB",
    "one batch of windows' scores MiB",
    "scores at the largest scale MiB (not kept)",
)


class Evaluation(NamedTuple):
    """An evaluation to measure."""

    size: Size
    classes: int
    protocol: ProtocolName
    batch: int  # windows at once


EVALUATIONS = (
    Evaluation((512, 1024), 19, "paper-ms", 4),
    Evaluation((1024, 2048), 19, "paper-ms", 4),
    Evaluation((2048, 4096), 19, "paper-ms", 4),
    Evaluation((1024, 2048), 150, "paper-ss", 1),
    Evaluation((512, 1024), 150, "paper-ms", 1),
    Evaluation((1024, 2048), 150, "paper-ms", 1),
    Evaluation((2048, 4096), 150, "paper-ms", 1),
    Evaluation((1024, 2048), 150, "paper-ms", 4),
)


def build(evaluation: Evaluation) -> Call:
    """Return a call that evaluates one image of random values."""
    torch.manual_seed(0)
    network = PSPNet(evaluation.classes, encoder="tu-regnetx_002", decoder_channels=16).eval()
    # an image is evaluated at its own size at scale 1, as Cityscapes' are in the paper
    chosen = protocol(evaluation.protocol, crop=CROP, base_size=None, batch=evaluation.batch)
    image = torch.randn(1, 3, *evaluation.size)

    def call() -> Tensor:
        with torch.no_grad():
            return evaluate(network, image, chosen)

    return call


def row(evaluation: Evaluation) -> str:
    """Measure an evaluation; return its row of the table."""
    (height, width), classes, name, batch = evaluation
    peak = peak_memory.peak(partial(build, evaluation), device=CPU, threads=torch.get_num_threads())
    scores = classes * height * width * 4
    window = batch * classes * CROP * CROP * 4
    largest = scores * LARGEST_SCALE**2 if name.endswith("-ms") else scores
    sizes = [f"{size / 2**20:,.0f}" for size in (peak, scores, window, largest)]
    return _line([name, f"{width}×{height}", str(classes), str(batch), *sizes])


def main() -> None:
    """Print the table row by row."""
    if not peak_memory.measurable(CPU):
        raise UserError(peak_memory.UNKNOWN)
    print(_line(COLUMNS))
    print(_line(["---"] * len(COLUMNS)), flush=True)
    for evaluation in EVALUATIONS:
        print(row(evaluation), flush=True)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    with one_line_errors():
        main()
