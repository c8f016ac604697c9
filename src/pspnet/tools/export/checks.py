"""A written file beside the network: the same pictures through both, at odd sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pspnet.data.transforms.normalize import normalize
from pspnet.errors import UserError
from pspnet.inference.single_pass import full_logits
from pspnet.prediction.loading import Trained
from pspnet.tools.export.onnx_file import Session, with_logits
from pspnet.tools.export.program import SavedProgram

# height and width; no two have the same remainders by 8 and 32
SIZES = ((32, 47), (33, 33), (40, 100), (65, 34), (96, 67), (97, 131), (129, 72), (101, 161))
LOGITS = 1e-5  # error of logits relative to the largest one
EQUAL = {"float32": 0.999, "float16": 0.99, "int8": 0.9}  # least share of pixels of equal class
CONSISTENT = 1e-4  # between a file's confidence and that of its own logits

Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Agreement:
    """The largest error of logits relative to the largest logit, and the share of equal pixels."""

    error: float
    equal: float
    pictures: int

    def __str__(self) -> str:
        return (
            f"{self.pictures} pictures: logits differ by {self.error:.1e} of the largest at most, "
            f"{100 * self.equal:.2f} % of pixels have the same class"
        )


def check(
    path: Path, trained: Trained, images: Iterable[np.ndarray], *, precision: str
) -> Agreement:
    """Compare a file's outputs with the network's.

    Args:
        path: an .onnx or .pt2 file.
        trained: the network that it was made of.
        images: (N, H, W, 3) uint8, of any sizes that the file takes.
        precision: float32, of which logits are compared, too; float16 or int8.

    Raises:
        UserError: if they disagree, see `LOGITS` and `EQUAL`.
    """
    run = _runner(path)
    error, same, pixels, count = 0.0, 0, 0, 0
    for image in images:
        expected = reference(trained, image)
        label, confidence, logits = run(image)
        _check_outputs(label, confidence, logits, temperature=trained.task.temperature)
        apart = _relative(logits, expected)
        if precision == "float32" and not apart <= LOGITS:
            _check_rounding(logits, expected, image, trained)
        error = max(error, apart)
        same += int((label == expected.argmax(1)).sum())
        pixels, count = pixels + label.size, count + len(label)
    agreement = Agreement(error, same / pixels, count)
    if agreement.equal < EQUAL[precision]:
        raise UserError(
            f"the {precision} file disagrees with the network: {agreement}, of which at least "
            f"{100 * EQUAL[precision]:g} % must"
        )
    return agreement


def reference(
    trained: Trained, image: np.ndarray, dtype: torch.dtype = torch.float32
) -> np.ndarray:
    """Return the logits (N, C, H, W) of our own single pass over images (N, H, W, 3) uint8."""
    network = trained.task.network.eval()
    if dtype != torch.float32:
        network = deepcopy(network).to(dtype)
    pixels = torch.from_numpy(image).permute(0, 3, 1, 2)
    with torch.inference_mode():
        normalized = normalize(pixels, mean=trained.mean, std=trained.std).to(dtype)
        logits: np.ndarray = full_logits(network, normalized).numpy()
    return logits


def _relative(logits: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference, relative to the largest logit."""
    return float(np.abs(logits - expected).max() / max(np.abs(expected).max(), 1e-30))


def _check_rounding(
    logits: np.ndarray, expected: np.ndarray, image: np.ndarray, trained: Trained
) -> None:
    """Refuse logits that are further from those in float64 than the network's own rounding."""
    exact = reference(trained, image, torch.float64)
    apart, rounding = _relative(logits, exact), _relative(expected, exact)
    if not apart <= max(LOGITS, 4 * rounding):
        size = "×".join(map(str, image.shape[1:3]))
        raise UserError(
            f"the file disagrees with the network: at {size} pixels logits differ by {apart:.1e} "
            f"of the largest, more than {LOGITS:g}"
        )


def pictures(sizes: Iterable[tuple[int, int]] = SIZES) -> Iterator[np.ndarray]:
    """Yield a pair of random pictures (2, H, W, 3) uint8, of smooth areas and noise, per size."""
    generator = torch.Generator().manual_seed(0)
    for height, width in sizes:
        coarse = torch.rand(2, 3, 5, 7, generator=generator)
        smooth = F.interpolate(coarse, (height, width), mode="bilinear")
        noise = 0.1 * torch.randn(2, 3, height, width, generator=generator)
        levels: Tensor = (255 * (smooth + noise).clamp(0, 1)).to(torch.uint8)
        yield levels.permute(0, 2, 3, 1).contiguous().numpy()


def _runner(path: Path) -> Run:
    """Return what runs a file on images, with the logits cut to their size."""
    if path.suffix == ".pt2":
        program = SavedProgram(path)

        def run(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            label, confidence, logits = program.run(torch.from_numpy(image))
            return label.numpy(), confidence.numpy(), cut(logits.numpy(), image)

        return run

    plain, probed = Session(path), Session(with_logits(path))

    def run_onnx(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        label, confidence = plain.run(image)
        return label, confidence, cut(probed.run(image)[2], image)

    return run_onnx


def cut(logits: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Cut padded logits (N, C, H', W') to the images' own size, H and W."""
    sides = zip(logits.shape[2:], image.shape[1:3], strict=True)
    rows, columns = (slice((o - i) // 2, (o - i) // 2 + i) for o, i in sides)
    return logits[:, :, rows, columns]


def _check_outputs(
    label: np.ndarray, confidence: np.ndarray, logits: np.ndarray, *, temperature: float
) -> None:
    """Check that both outputs follow from the logits, at the place where these lie."""
    probability = torch.from_numpy(logits / temperature).softmax(1).amax(1).numpy()
    wrong = float((label != logits.argmax(1)).mean())
    apart = float(np.abs(confidence - probability).max())
    if wrong > 1e-3 or not apart <= CONSISTENT or label.dtype != np.uint8:
        raise UserError(
            f"the file contradicts itself: {100 * wrong:.2f} % of its classes and confidences by "
            f"{apart:.1e} do not follow from its logits; another version of onnxruntime may differ"
        )
