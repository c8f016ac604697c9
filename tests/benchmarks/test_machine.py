"""Description, settings and matrix rate of the machine."""

import json
import subprocess
from itertools import cycle

import cv2
import pytest
import torch

from benchmarks import machine
from benchmarks.machine import commit, describe, matmul_rate, pinned

CPU = torch.device("cpu")


def test_the_rate_is_that_of_the_fastest_square_product(monkeypatch):
    seconds = cycle([0.75, 0.5, 0.9])
    monkeypatch.setattr(machine, "clock_of", lambda device: lambda call: next(seconds))
    assert matmul_rate(torch.float32, device=CPU, side=10) == 2 * 10**3 / 0.5


def test_threads_and_settings_come_back():
    def settings():
        cudnn = torch.backends.cudnn.benchmark
        precision = torch.get_float32_matmul_precision()
        return torch.get_num_threads(), cv2.getNumThreads(), cudnn, precision

    def fail():
        with pinned(2):
            seen.append(settings())
            raise ZeroDivisionError

    before, seen = settings(), []
    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [(2, 2, True, "high")]
    assert settings() == before


def test_the_description_is_plain_data(monkeypatch, tmp_path):
    listing = tmp_path / "cpuinfo"
    listing.write_text("model name\t: Some CPU\nflags\t\t: fma avx512_bf16\nflags\t: amx_bf16\n")
    monkeypatch.setattr(machine, "CPU_INFO", listing)
    found = describe(CPU, threads=3)
    assert json.loads(json.dumps(found)) == found
    assert (found["device"], found["cpu"], found["threads"]) == ("CPU", "Some CPU", 3)
    assert (found["AMX"], found["AVX512_BF16"]) == (False, True)


def test_the_commit_is_that_of_this_checkout_alone(monkeypatch, tmp_path):
    """A copy within another repository has no commit."""
    said = {"ls-files": "x", "describe": "0123-dirty"}

    def run(words, **_):
        answer = said.get(words[1])
        return subprocess.CompletedProcess(words, 0 if answer else 1, f"{answer}\n", "")

    monkeypatch.setattr(machine.subprocess, "run", run)
    assert commit() == "0123-dirty"
    del said["ls-files"]
    assert commit() is None
