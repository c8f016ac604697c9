"""Pixels of photographs that differ between the published evaluation and this package's.

    python -m benchmarks.photographs CKPT IMAGES… --crop 257 --base 480

The published procedure is also run on the image with noise of 1e-4 of a gray level. Both shares are
of rounding: float32 sums in another order, and an input that is the same to the eye.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.ours import protocol
from benchmarks.published.sliding_window import SlidingWindow
from pspnet.data.image_io import read_image
from pspnet.errors import one_line_errors
from pspnet.inference.class_scores import evaluate
from pspnet.inference.protocols import SIX_SCALES, ProtocolName
from pspnet.models.published.load import PublishedNetwork, load_published

NOISE = 1e-4  # of a gray level
SCALES: dict[ProtocolName, Sequence[float]] = {"paper-ss": (1.0,), "paper-ms": SIX_SCALES}


def shares(
    loaded: PublishedNetwork, image: np.ndarray, name: ProtocolName, *, crop: int, base: int
) -> tuple[float, float]:
    """Return the share of pixels by which ours, and noise, differ from the published class map.

    Args:
        loaded: the network, with mean and std.
        image: (H, W, 3) float32, 0 to 255.
        name: the protocol.
        crop: side of the sliding window.
        base: long side of the image at scale 1.
    """
    network = loaded.network.eval()
    published = SlidingWindow(
        network,
        classes=network.num_classes,
        crop=crop,
        base_size=base,
        scales=SCALES[name],
        mean=loaded.mean,
        std=loaded.std,
        device=torch.device("cpu"),
    )
    expected = published(image)
    noise = np.random.default_rng(0).normal(0, NOISE, image.shape).astype(np.float32)
    noisy = published(image + noise)
    mean, std = (255 * np.array(it, np.float32) for it in (loaded.mean, loaded.std))
    pixels = torch.from_numpy(((image - mean) / std).transpose(2, 0, 1).copy())[None]
    chosen = protocol(name, crop=crop, base_size=base)
    with torch.no_grad():
        ours = evaluate(network, pixels, chosen)[0].argmax(0).numpy()
    return float((ours != expected).mean()), float((noisy != expected).mean())


def main(words: list[str] | None = None) -> None:
    """Print a Markdown row per image and protocol."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--crop", type=int, default=473)
    parser.add_argument("--base", type=int, default=512)
    parser.add_argument("--protocols", nargs="+", choices=tuple(SCALES), default=[*SCALES])
    options = parser.parse_args(words)
    with one_line_errors():
        loaded = load_published(options.checkpoint)
        print("| image | protocol | ours, % of pixels | noise of 1e-4, % |\n|---|---|---|---|")
        for path in options.images:
            image = np.asarray(read_image(path), np.float32)
            for name in options.protocols:
                found = shares(loaded, image, name, crop=options.crop, base=options.base)
                cells = " | ".join(f"{100 * share:.4f}" for share in found)
                print(f"| {path.name} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
