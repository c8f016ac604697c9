"""An exported file as a predictor, see `pspnet.tools.export`."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pspnet.data.channels import RGB, Channels
from pspnet.data.datasets.classes import Classes
from pspnet.errors import UserError
from pspnet.models.pspnet import SMALLEST_SIDE
from pspnet.models.torch_file import first_line, regular_file
from pspnet.prediction.predictor import Predictor

METADATA = "pspnet.json"  # the name of the metadata within a .pt2
NOT_OURS = "no file of pspnet export"


class ExportedPredictor(Predictor):
    """Predicts with an .onnx or .pt2 file: class ids and confidence, without scores.

    Args:
        path: the file.

    Raises:
        UserError: if it is missing, damaged or of another program, or onnxruntime is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = regular_file(path, expected="an exported file")
        self.device = torch.device("cpu")
        if path.suffix.lower() == ".onnx":
            saved, self._graph = _open_onnx(path)
        else:
            saved, self._graph = _open_program(path)
        try:
            table = {key: saved[key] for key in ("classes", "colors")}
            self._classes = Classes.from_plain({"names": table["classes"], **table})
            self._size = tuple(map(int, saved.get("size") or ()))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: {NOT_OURS}, as it names no classes") from error

    @property
    def classes(self) -> Classes:
        """Names and colors of the classes, in the order of their ids."""
        return self._classes

    @property
    def channels(self) -> Channels:
        """RGB of 8 bits, which alone is exported."""
        return RGB

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Refuse: the checkpoint is what is saved.

        Raises:
            UserError: always.
        """
        raise UserError(f"{self.path} is an exported file; load the checkpoint, and save that")

    push_to_hub = save_pretrained  # type: ignore[assignment]

    def _run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = pixels.shape[:2]
        if min(height, width) < SMALLEST_SIDE:
            raise UserError(
                f"an image of {width}×{height} pixels: {self.path} takes {SMALLEST_SIDE} or more a"
                " side; load the checkpoint"
            )
        if self._size not in ((), (height, width)):
            takes = "×".join(map(str, reversed(self._size)))
            raise UserError(
                f"an image of {width}×{height} pixels: {self.path} takes {takes} alone; resize it, "
                "or load the checkpoint"
            )
        label, confidence = self._graph(pixels[None])
        return np.asarray(label)[0], np.asarray(confidence)[0]

    def _scores(self, pixels: np.ndarray) -> np.ndarray:
        raise UserError(f"{self.path} gives no scores; load the checkpoint")


def _open_onnx(path: Path) -> tuple[dict[str, Any], Any]:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{path} needs onnxruntime; pip install onnxruntime") from error
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        saved = session.get_modelmeta().custom_metadata_map
        keys = ("classes", "colors", "size")
        described = {key: json.loads(saved[key]) for key in keys if key in saved}
    except Exception as error:  # onnxruntime's errors have no class of their own in common
        raise UserError(f"{path}: {NOT_OURS}: {first_line(error)}") from error
    if (takes := [each.name for each in session.get_inputs()]) != ["image"]:
        raise UserError(f"{path}: {NOT_OURS}: it takes {', '.join(takes)}, not image alone")
    return described, lambda image: session.run(["label", "confidence"], {"image": image})


def _open_program(path: Path) -> tuple[dict[str, Any], Any]:
    extra = {METADATA: ""}
    try:
        with quiet():
            module = torch.export.load(path, extra_files=extra).module()
        described = json.loads(extra[METADATA] or "{}")
    except Exception as error:  # torch's errors have none either
        reason = f"{NOT_OURS}, or of another torch than {torch.__version__}"
        raise UserError(f"{path}: {reason}: {first_line(error)}") from error

    @torch.inference_mode()
    def run(image: np.ndarray) -> Any:
        return module(torch.from_numpy(image))[:2]

    return described, run


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the remarks of torch's exporters from the terminal; their errors are raised."""
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(StringIO()),
            redirect_stderr(StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
