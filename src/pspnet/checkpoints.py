"""Reading the checkpoints of our own runs."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from pspnet.errors import UserError


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint of `python -m pspnet fit`; read with `weights_only=True`, it can run no code.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no checkpoint, or not one of this project's runs.
    """
    if not Path(path).is_file():
        raise UserError(f"ckpt_path={path}: no such file; give a .ckpt of a run")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise UserError(
            f"ckpt_path={path}: no torch file, or one that holds more than tensors and plain data, "
            "which could run code; give a .ckpt of a run"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        reason = str(error).strip().partition(". ")[0] or type(error).__name__
        raise UserError(f"ckpt_path={path}: not a readable checkpoint: {reason}") from error
    for key in ("hyper_parameters", "config", "state_dict"):
        if not isinstance(checkpoint, dict) or key not in checkpoint:
            raise UserError(
                f"ckpt_path={path}: lacks {key!r}; not a checkpoint of pspnet's fit. Published "
                "weights go through python -m pspnet.tools.convert"
            )
    return checkpoint
