"""Peak memory of one call, of each side alone."""

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


def peak(build: Callable[[], Call], *, device: torch.device, threads: int) -> int | None:
    """Most bytes that a call needs, or None where the system does not say.

    On a GPU, of a second call, all that torch holds there, the weights included. On a CPU the
    resident set's peak during the first call above what it was before, in a process of its own:
    without weights, with gradients and the optimizer's state, and without what glibc would hold
    back of freed memory.

    Args:
        build: gives the call; can be pickled.
        device: where it computes.
        threads: of the process.

    Raises:
        MemoryError: if there is not enough.
    """
    if device.type == "cuda":
        return _on_gpu(build, device)
    if not STATUS.exists():
        return None
    # a process that was forked would share what this one holds
    context = multiprocessing.get_context("spawn")
    with _returned_at_once(), ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(_in_process, build, threads=threads).result()
        except BrokenProcessPool:
            raise MemoryError("its process was ended, as when memory runs out") from None


def resident(key: str) -> int:
    """Bytes of this process: VmRSS now, or VmHWM, its highest since the process began (Linux)."""
    lines = STATUS.read_text("ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])


@contextmanager
def _returned_at_once() -> Iterator[None]:
    """Processes begun meanwhile give memory back once it is freed, as far as glibc is asked.

    Else it keeps more or less of it, by chance, and peaks of one call differ by 40 MiB.
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
    before = resident("VmRSS")
    call()
    return resident("VmHWM") - before


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
