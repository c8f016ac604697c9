"""The last lines of a command: what it found, and where it lies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from lightning.pytorch import Trainer

from pspnet.evaluation.calibration import Calibrated
from pspnet.evaluation.summary import format_table
from pspnet.files.text import pspnet_command, shell_command, short_path
from pspnet.task import Segmentation


def say_scores(trainer: Trainer, model: Segmentation, *, split: Literal["val", "test"]) -> None:
    """Print the scores of an evaluation and their folder; all processes must call it."""
    log_dir = trainer.log_dir  # asks the first process
    if not trainer.is_global_zero:
        return
    scores, checkpoint = model.scores(), str(trainer.ckpt_path)
    miou = "–" if scores["miou"] is None else f"{100 * scores['miou']:.2f} %"
    how = f"{model.protocol.name}, {trainer.precision}"
    print(f"\n{format_table(scores)}\n")
    print(f"mIoU on {split} ({how}): {miou}, by {short_path(checkpoint)}")
    page = "" if model.by_image is None else "failures.html, images.csv, "
    print(f"figures, {page}results.json and config.yaml: {short_path(log_dir or '')}")


def say_next(trainer: Trainer) -> None:
    """Print commands that use the checkpoint of a training, ready to be pasted."""
    folder = trainer.log_dir  # asks the first process
    if not trainer.is_global_zero or folder is None:
        return
    checkpoint = short_path(str(trainer.ckpt_path))
    commands = [
        (
            "predict",
            f"--ckpt_path={checkpoint}",
            "--data.images=FOLDER",
            "--output.folder=predicted",
        ),
        ("explain", checkpoint),
        ("export", checkpoint, "network.onnx"),
    ]
    print("next:")
    for words in commands:
        print(f"  {pspnet_command(*words)}")
    for run in sorted(Path(folder).glob("wandb/offline-run-*")):
        print(f"  {shell_command(_beside_python('wandb'), 'sync', short_path(str(run)))}")


def _beside_python(program: str) -> str:
    """Return the program of this environment, or its name where the environment has none."""
    path = Path(sys.executable).with_name(program)
    return str(path) if path.exists() else program


def say_temperature(found: Calibrated, checkpoint: str) -> None:
    """Print the temperature that a calibration has found."""
    (fitted, others), (pixels, other_pixels) = found.images, found.pixels
    print(
        f"temperature {found.temperature:.2f}, fitted on {pixels} pixels of {fitted} images, now "
        f"in {checkpoint}: ECE {100 * (found.before.ece or 0):.2f} % before, "
        f"{100 * (found.after.ece or 0):.2f} % after on {other_pixels} pixels of {others} others"
    )


def say_archive(archive: Path | None, protocol: str) -> None:
    """Print where the predictions for a benchmark's server are, or that there are none."""
    if archive is None:
        print("no archive is written: not every image of the test split was predicted on")
    else:
        print(f"\npredictions of the test split ({protocol}): {archive}")
