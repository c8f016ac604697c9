"""The temperature of a checkpoint's confidences."""

from __future__ import annotations

from pathlib import Path

from pspnet.checkpoints.writing import VerifiedCheckpointIO
from pspnet.models.torch_file import load, regular_file


def store_temperature(path: str | Path, temperature: float) -> None:
    """Write a temperature into a checkpoint; all other entries stay as they are.

    Args:
        path: a checkpoint of `fit` or `convert`.
        temperature: see `pspnet.evaluation.calibration`.

    Raises:
        NotWritten: if the file cannot be written; it is left as it was.
    """
    path = regular_file(path, expected="a .ckpt of a run").resolve()  # not over a link to it
    checkpoint = load(path)
    checkpoint["hyper_parameters"]["temperature"] = temperature
    checkpoint["config"].setdefault("model", {})["temperature"] = temperature
    VerifiedCheckpointIO().save_checkpoint(checkpoint, path)
