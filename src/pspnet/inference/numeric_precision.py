"""The precision of training and evaluation on a machine."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["bf16-mixed", "32-true"]


def default_precision(device: torch.device) -> Precision:
    """Return the precision that a machine gains from: bfloat16 where the hardware computes it.

    That is on GPUs of compute capability 8.0 and above and on CPUs with AMX or AVX512_BF16.
    Elsewhere bfloat16 is emulated or no faster than float32.

    Args:
        device: the network's.
    """
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return "bf16-mixed" if major >= 8 else "32-true"
    has = torch.cpu.get_capabilities()
    fast = any(has.get(feature, False) for feature in ("amx_bf16", "avx512_bf16"))
    return "bf16-mixed" if device.type == "cpu" and fast else "32-true"


def usable(precision: str | None) -> str | None:
    """Return a run's precision, or None where it needs a GPU that is not there."""
    return None if precision and "16-" in precision and not _computes(precision) else precision


def _computes(precision: str) -> bool:
    return torch.cuda.is_available() or precision.startswith("bf16")


def on_gpu(accelerator: object) -> bool:
    return torch.cuda.is_available() and accelerator != "cpu"
