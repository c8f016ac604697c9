"""Peak memory of one call, each measured alone.

`pspnet.callbacks.costs.peak_memory` is the peak of a process since its start; here it is that of
one call, which the peak of a process hides.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from benchmarks.timing import Call

THRESHOLD = "MALLOC_MMAP_THRESHOLD_"
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
UNKNOWN = "memory is measured on Linux only"


def measurable(device: torch.device) -> bool:
    """Return whether this system tells the peak: every GPU does, of CPUs only Linux's /proc."""
    return device.type == "cuda" or STATUS.exists()


def peak(build: Callable[[], Call], *, device: torch.device, threads: int) -> int:
    """Measure the most bytes that a call needs, where `measurable` is true.

    On a GPU the peak is that of a second call and counts all that torch holds there, weights
    included. On a CPU it is the resident set's peak during the first call above what it was before,
    in a process of its own: without weights, with gradients and the optimizer's state, and without
    what glibc would hold back of freed memory.

    Args:
        build: returns the call; can be pickled.
        device: where it computes.
        threads: number of threads of the process.

    Raises:
        MemoryError: if there is not enough.
    """
    if device.type == "cuda":
        return _on_gpu(build, device)
    # a forked process would share what this one holds
    context = multiprocessing.get_context("spawn")
    with _returned_at_once(), ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(_in_process, build, threads=threads).result()
        except BrokenProcessPool:
            raise MemoryError("its process was ended, as when memory runs out") from None


@contextmanager
def _returned_at_once() -> Iterator[None]:
    """Let processes that start meanwhile return freed memory to the system at once.

    glibc would keep a varying part of it, and peaks of one call would differ by 40 MiB.
    """
    before = os.environ.get(THRESHOLD)
    os.environ[THRESHOLD] = str(2**20)  # bytes of a block; fixed, so that it does not grow
    try:
        yield
    finally:
        if before is None:
            del os.environ[THRESHOLD]
        else:
            os.environ[THRESHOLD] = before


def _in_process(build: Callable[[], Call], *, threads: int) -> int:
    torch.set_num_threads(threads)
    call = build()
    gc.collect()
    with suppress(OSError):  # a sandbox may forbid it; then building counts where it took more
        RESET.write_text("5")  # VmHWM counts from here
    before = _resident("VmRSS")
    call()
    return _resident("VmHWM") - before


def _resident(key: str) -> int:
    """Return bytes of this process: VmRSS now, or VmHWM, its peak since the last reset."""
    lines = STATUS.read_text("ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])


def _on_gpu(build: Callable[[], Call], device: torch.device) -> int:
    gc.collect()
    torch.cuda.empty_cache()
    before, enough = torch.cuda.memory_allocated(device), True
    try:
        call = build()
        call()
        torch.cuda.reset_peak_memory_stats(device)
        call()
    except torch.OutOfMemoryError:
        enough = False
    if not enough:  # raised out here, as the other error holds on to what was computed
        raise MemoryError("out of memory")
    return torch.cuda.max_memory_allocated(device) - before
