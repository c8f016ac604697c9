"""The precision that a machine gains by."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["bf16-mixed", "32-true"]


def default_precision(device: torch.device) -> Precision:
    """What trainings and evaluations run in unless told: bfloat16 where the hardware computes it.

    That is on GPUs of compute capability 8.0 and above and on CPUs with AMX or AVX512_BF16;
    elsewhere bfloat16 is emulated or no faster than float32.

    Args:
        device: that the network is on.
    """
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return "bf16-mixed" if major >= 8 else "32-true"
    return "bf16-mixed" if device.type == "cpu" and _multiplies_bfloat16() else "32-true"


def _multiplies_bfloat16() -> bool:
    """Whether the CPU has products of bfloat16, in tiles or in vectors."""
    has = torch.cpu.get_capabilities()
    return any(has.get(feature, False) for feature in ("amx_bf16", "avx512_bf16"))
