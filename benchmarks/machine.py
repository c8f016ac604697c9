"""The machine that is measured: its description, its threads, its rate of matrix products."""

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

CPU_INFO = Path("/proc/cpuinfo")
PRODUCTS = 25  # the fastest gives the rate, as it stands for the machine's limit
MATRIX_SIDES = {"cuda": 8192, "cpu": 2048}


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Run torch and OpenCV with `threads` threads, and a GPU as this package's trainings do.

    On a GPU that means cuDNN's search for the fastest kernels, and TF32 in float32 products.
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
    """Return names, versions and features that times depend on, as plain data."""
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else "CPU",
        "cpu": _cpu_info("model name") or platform.processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "AMX": "amx_bf16" in _cpu_info("flags").split(),
        "AVX512_BF16": "avx512_bf16" in _cpu_info("flags").split(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if on_gpu else None,
        "cudnn": torch.backends.cudnn.version() if on_gpu else None,  # type: ignore[no-untyped-call]
        "tf32": torch.backends.cudnn.allow_tf32 if on_gpu else None,
        "commit": commit(),
    }


def matmul_rate(dtype: torch.dtype, *, device: torch.device, side: int | None = None) -> float:
    """Measure operations per second of large square matrix products, the fastest of several.

    Args:
        dtype: type of both matrices.
        device: device of both matrices.
        side: rows and columns; None is large enough for the device.
    """
    side = side or MATRIX_SIDES[device.type]
    one, two = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    for _ in range(2):
        one @ two
    calls = {"product": lambda: one @ two}
    seconds = alternate(calls, rounds=PRODUCTS, clock=clock_of(device))["product"]
    return 2 * side**3 / min(seconds)


def commit() -> str | None:
    """Return the commit of this checkout, with "-dirty" where files differ; None outside of git."""
    folder = Path(__file__).parent
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None  # a copy, perhaps in a folder of another repository
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)
    except OSError:  # no git
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_info(key: str) -> str:
    """Return a value of the first core in Linux's list, "" if there is none."""
    lines = CPU_INFO.read_text("utf-8").splitlines() if CPU_INFO.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
