"""The machine that is measured: what it is, how many threads are used, how fast it multiplies."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import torch

from benchmarks.timing import alternate, clock_of

CPU = Path("/proc/cpuinfo")
PRODUCTS = 25  # of which the fastest is the rate, as it stands for what the machine can do
SIDES = {"cuda": 8192, "cpu": 2048}  # of the square matrices


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Runs torch and OpenCV with this many threads, and a GPU as trainings of this package do.

    That is with the fastest of cuDNN's kernels, and TF32 for products of float32; for every side.
    """
    of_torch, of_opencv = torch.get_num_threads(), cv2.getNumThreads()
    search, precision = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_num_threads(of_torch)
        cv2.setNumThreads(of_opencv)
        torch.backends.cudnn.benchmark = search
        torch.set_float32_matmul_precision(precision)


def describe(device: torch.device, *, threads: int) -> dict[str, Any]:
    """Names, versions and features that times depend on, as plain data."""
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else "CPU",
        "cpu": _cpu("model name") or platform.processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "AMX": "amx_bf16" in _cpu("flags").split(),
        "AVX512_BF16": "avx512_bf16" in _cpu("flags").split(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if on_gpu else None,
        "cudnn": torch.backends.cudnn.version() if on_gpu else None,  # type: ignore[no-untyped-call]
        "tf32": torch.backends.cudnn.allow_tf32 if on_gpu else None,
        "commit": commit(),
    }


def matrix_rate(dtype: torch.dtype, *, device: torch.device, side: int | None = None) -> float:
    """Operations a second of large square matrix products, the fastest of several.

    Args:
        dtype: of both matrices.
        device: where they are.
        side: rows and columns; None is large enough for the device.
    """
    side = side or SIDES[device.type]
    one, two = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    for _ in range(2):
        one @ two
    calls = {"product": lambda: one @ two}
    seconds = alternate(calls, rounds=PRODUCTS, clock=clock_of(device))["product"]
    return 2 * side**3 / min(seconds)


def commit() -> str | None:
    """The commit of the checkout that this package is in, with "-dirty" where files differ."""
    folder = Path(__file__).parent
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None  # installed, perhaps in a folder of another repository
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)
    except OSError:  # no git
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu(key: str) -> str:
    """A value of the first core in Linux' list, "" if there is none."""
    lines = CPU.read_text("utf-8").splitlines() if CPU.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
