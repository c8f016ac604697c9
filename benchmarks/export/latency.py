"""Time per image and size on disk of every form of a checkpoint, measured in turns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.timing import alternate, clock_of, spread
from pspnet.prediction.loading import load
from pspnet.prediction.predictor import Predictor
from pspnet.tools.export.checks import pictures
from pspnet.tools.export.int8 import Calibration, calibration_of_run
from pspnet.tools.export.onnx_file import Session
from pspnet.tools.export.program import SavedProgram
from pspnet.tools.export.write import export

FORMS = (
    *(("float32", ".onnx"), ("float16", ".onnx"), ("int8", ".onnx")),
    *(("float32", ".pt2"), ("float16", ".pt2")),
)


def measure(path: Path, *, size: tuple[int, int], rounds: int, threads: int) -> None:
    """Print a table of the checkpoint and its exported forms on one image of a size.

    Args:
        path: the checkpoint; int8 is calibrated on its own data.
        size: height and width of the image.
        rounds: repetitions, in alternating order.
        threads: of torch and onnxruntime.
    """
    image = next(pictures([size]))[0]
    with TemporaryDirectory() as folder:
        predictor = Predictor.load(path, protocol="whole", device="cpu", precision="32-true")
        calls: dict[str, Callable[[], object]] = {"checkpoint": lambda: predictor(image)}
        bytes_of = {"checkpoint": path.stat().st_size}
        for precision, suffix in FORMS:
            name = f"{suffix} {precision}"
            file = Path(folder, f"{precision}{suffix}")
            calibration = calibration_of_run(path, root=None, trust=False)
            _export(path, file, precision, calibration)
            calls[name], bytes_of[name] = _call(file, image, threads), file.stat().st_size
        for call in calls.values():
            call()  # the first call allocates
        seconds = alternate(calls, rounds=rounds, clock=clock_of(torch.device("cpu")))
    print(f"{size[0]}×{size[1]}, {threads} threads, {rounds} rounds in turns\n")
    print("| form | MB | ms | ratio of the checkpoint's time |\n|---|--:|--:|--:|")
    for name, times in seconds.items():
        ms = spread([1000 * value for value in times])
        ratio = spread(np.divide(times, seconds["checkpoint"]).tolist())
        print(
            f"| {name} | {bytes_of[name] / 1e6:.1f} | {ms.median:.0f} [{ms.low:.0f}, {ms.high:.0f}]"
            f" | {ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] |"
        )


def _export(path: Path, file: Path, precision: str, calibration: Calibration) -> None:
    images = Calibration(calibration.images) if precision == "int8" else None
    export(load(path), file, precision=precision, calibration=images)


def _call(file: Path, image: np.ndarray, threads: int) -> Callable[[], object]:
    batch = image[None]
    if file.suffix == ".onnx":
        session = Session(file, threads=threads)
        return lambda: session.run(batch)
    module, tensor = SavedProgram(file).module, torch.from_numpy(batch)

    def run() -> object:
        with torch.inference_mode():
            return module(tensor)

    return run
