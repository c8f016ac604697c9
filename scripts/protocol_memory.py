"""Peak memory of evaluating one image: .venv/bin/python scripts/protocol_memory.py > table.md

Each row runs in a process of its own, with a narrow network, so that what grows is the protocol's
memory and not the network's. The peak is the resident set's above that of the process before the
evaluation (Linux, CPU).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from pspnet import PSPNet
from pspnet.evaluation.inference import evaluate
from pspnet.evaluation.protocols import ProtocolOverrides, resolve

ROWS = [  # height, width, classes, protocol, windows at once
    (512, 1024, 19, "paper-ms", 4),
    (1024, 2048, 19, "paper-ms", 4),
    (2048, 4096, 19, "paper-ms", 4),
    (1024, 2048, 150, "paper-ss", 1),
    (512, 1024, 150, "paper-ms", 1),
    (1024, 2048, 150, "paper-ms", 1),
    (2048, 4096, 150, "paper-ms", 1),
    (1024, 2048, 150, "paper-ms", 4),
]


def resident(key: str) -> float:
    """MiB of this process: VmRSS now, or VmHWM, its highest since the process began."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


def measure(height: int, width: int, classes: int, name: str, batch: int) -> None:
    torch.manual_seed(0)
    network = PSPNet(classes, encoder="tu-regnetx_002", decoder_channels=16).eval()
    # an image is evaluated at its own size at scale 1, as Cityscapes' are in the paper
    protocol = resolve(name, ProtocolOverrides(batch=batch), crop_size=(713, 713), base_size=None)
    image = torch.randn(1, 3, height, width)
    before = resident("VmRSS")
    with torch.no_grad():
        evaluate(network, image, protocol)
    peak = resident("VmHWM") - before
    scores = classes * height * width * 4 / 2**20
    window = batch * classes * 713 * 713 * 4 / 2**20
    largest = 1.75**2 if name == "paper-ms" else 1
    print(
        f"| {name} | {width}×{height} | {classes} | {batch} | {peak:,.0f} | {scores:,.0f} "
        f"| {window:,.0f} | {scores * largest:,.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        height, width, classes, name, batch = sys.argv[1:]
        measure(int(height), int(width), int(classes), name, int(batch))
    else:
        print(
            "| protocol | image | classes | windows at once | peak MiB | scores MiB "
            "| one batch of windows' scores MiB | scores at the largest scale MiB (not kept) |"
        )
        print("|" + "---|" * 8, flush=True)
        for row in ROWS:
            subprocess.run([sys.executable, __file__, *map(str, row)], check=True)
