"""The memory probe, in processes of its own."""

import os
import signal
from functools import partial

import pytest
import torch

from benchmarks import memory

MIB = 2**20
CPU = torch.device("cpu")


def allocation(before: int, during: int):
    """A call that needs so many MiB, built where others are held already."""
    held = torch.ones(before * MIB, dtype=torch.uint8)

    def call():
        return held[0], torch.ones(during * MIB, dtype=torch.uint8)[0]

    return call


def ended():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not memory.STATUS.exists(), reason="Linux says what a process holds")
def test_the_peak_is_what_the_call_adds_and_gives_back():
    found = memory.peak(partial(allocation, before=300, during=200), device=CPU, threads=1)
    assert found is not None
    assert 190 * MIB < found < 280 * MIB


def held_back():
    """A call for which freed blocks would stay in the process, were it not told otherwise."""
    assert os.environ[memory.THRESHOLD] == str(MIB)
    return lambda: None


def test_processes_are_told_to_give_memory_back(monkeypatch):
    for before in (None, "5000000"):
        if before:
            monkeypatch.setenv(memory.THRESHOLD, before)
        memory.peak(held_back, device=CPU, threads=1)
        assert os.environ.get(memory.THRESHOLD) == before


def test_a_process_that_is_ended_is_said_to_lack_memory():
    with pytest.raises(MemoryError, match="as when memory runs out"):
        memory.peak(ended, device=CPU, threads=1)
