"""Peak memory of a call, in a process of its own."""

import os
import signal
from functools import partial

import pytest
import torch

from benchmarks import peak_memory

MIB = 2**20
CPU = torch.device("cpu")
linux = pytest.mark.skipif(not peak_memory.measurable(CPU), reason=peak_memory.UNKNOWN)


def allocation(before: int, during: int):
    """Return a call that needs `during` MiB, built where `before` MiB are held already."""
    held = torch.ones(before * MIB, dtype=torch.uint8)

    def call():
        return held[0], torch.ones(during * MIB, dtype=torch.uint8)[0]

    return call


def ended():
    os.kill(os.getpid(), signal.SIGKILL)


@linux
def test_the_peak_is_what_the_call_adds_and_gives_back():
    found = peak_memory.peak(partial(allocation, before=300, during=200), device=CPU, threads=1)
    assert 190 * MIB < found < 280 * MIB


def held_back():
    """Return a call; the process that builds it must return freed memory at once."""
    assert os.environ[peak_memory.THRESHOLD] == str(MIB)
    return lambda: None


@pytest.mark.slow
@linux
def test_processes_return_freed_memory_at_once(monkeypatch):
    for before in (None, "5000000"):
        if before:
            monkeypatch.setenv(peak_memory.THRESHOLD, before)
        peak_memory.peak(held_back, device=CPU, threads=1)
        assert os.environ.get(peak_memory.THRESHOLD) == before


@linux
def test_a_killed_process_is_reported_as_lack_of_memory():
    with pytest.raises(MemoryError, match="as when memory runs out"):
        peak_memory.peak(ended, device=CPU, threads=1)


def test_a_system_without_proc_measures_gpus_only(monkeypatch, tmp_path):
    monkeypatch.setattr(peak_memory, "STATUS", tmp_path / "status")
    assert not peak_memory.measurable(CPU)
    assert peak_memory.measurable(torch.device("cuda"))
