"""Training steps of encoders in both precisions and memory formats, in CPU seconds.

    python -m benchmarks.memory_formats ENCODER … [--size H W] [--batch N] [--rounds N]

The forms take turns. CPU seconds of the process are less disturbed by other programs than the
clock; give OMP_NUM_THREADS=1 on a busy machine. A star marks the form that a run takes by default.
Where `ops/dilated_depthwise.py` takes the place of torch's convolution, that is timed as well.
"""

from __future__ import annotations

import argparse
import copy
import time
from functools import partial
from itertools import product

import torch
from torch import nn

from benchmarks.timing import Call, alternate, spread
from pspnet import PSPNet
from pspnet.errors import Parser
from pspnet.inference.numeric_precision import default_precision
from pspnet.losses import CrossEntropy
from pspnet.ops.dilated_depthwise import DilatedDepthwiseConv2d
from pspnet.ops.memory_format import fastest_format, in_format_of, set_format

CLASSES = 21
CPU = torch.device("cpu")
FORMATS = {"last": torch.channels_last, "first": torch.contiguous_format}


def with_torchs_convolution(network: PSPNet) -> PSPNet | None:
    """Return a copy whose dilated depthwise convolutions are torch's; None if it has none."""
    copied = copy.deepcopy(network)
    layers = [m for m in copied.modules() if isinstance(m, DilatedDepthwiseConv2d)]
    for layer in layers:
        layer.forward = partial(nn.Conv2d.forward, layer)  # type: ignore[method-assign]
    return copied if layers else None


def step(network: PSPNet, image: torch.Tensor, target: torch.Tensor, precision: str) -> None:
    """Compute the gradients of one batch as a training does."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision != "32-true"):
        losses = [CrossEntropy()(logits.float(), target) for logits in network(image)]
    (losses[0] + 0.4 * losses[1]).backward()
    network.zero_grad()


def cpu_seconds(
    encoder: str, *, size: tuple[int, int], batch: int, rounds: int
) -> dict[str, float]:
    """Return the median CPU seconds of a step by form, the default one with a star."""
    image, target = torch.rand(batch, 3, *size), torch.randint(0, CLASSES, (batch, *size))
    calls = {}
    for precision, (name, memory_format) in product(("bf16-mixed", "32-true"), FORMATS.items()):
        network = PSPNet(CLASSES, encoder, decoder_channels=256, auxiliary_channels=128)
        default = precision == default_precision(CPU) and memory_format == fastest_format(
            network, device=CPU, precision=precision
        )
        set_format(network, memory_format)
        form, given = f"{precision}, channels {name}", in_format_of(network, image)
        calls[form + " *" * default] = partial(step, network, given, target, precision)
        native = with_torchs_convolution(network) if precision == "32-true" else None
        if native is not None:
            form = f"{form}, torch's dilated depthwise convolution"
            calls[form] = partial(step, native, given, target, precision)

    def clock(call: Call) -> float:
        start = time.process_time()
        call()
        return time.process_time() - start

    for call in calls.values():
        call()
    seconds = alternate(calls, rounds=rounds, clock=clock)
    return {form: spread(values).median for form, values in seconds.items()}


def main() -> None:
    parser = Parser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("encoders", nargs="+", metavar="ENCODER")
    parser.add_argument("--size", type=int, nargs=2, default=(129, 161), metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    given: argparse.Namespace = parser.parse_args()
    for encoder in given.encoders:
        forms = cpu_seconds(encoder, size=tuple(given.size), batch=given.batch, rounds=given.rounds)
        print(encoder)
        for form, seconds in forms.items():
            print(f"  {form}: {seconds:.2f} s ({seconds / min(forms.values()):.2f})", flush=True)


if __name__ == "__main__":
    main()
