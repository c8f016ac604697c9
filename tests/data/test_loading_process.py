"""Loading processes outlive the signals that stop a run, and end with it."""

import signal
import subprocess

import pytest
from torch.utils.data import DataLoader

from pspnet.data.loading_process import begin


@pytest.mark.parametrize("name", ["TERM", "INT", "USR1"])
def test_a_signal_of_somebody_elses_is_not_for_it(name):
    loader = DataLoader(range(8), num_workers=1, prefetch_factor=1, worker_init_fn=begin)
    batches = iter(loader)
    seen = [next(batches)]
    process = batches._workers[0]
    subprocess.run(["kill", f"-{name}", str(process.pid)], check=True)
    assert len([*seen, *batches]) == 8
    del batches
    process.join(10)
    assert process.exitcode == 0


def test_its_parent_ends_it():
    batches = iter(DataLoader(range(8), num_workers=1, prefetch_factor=1, worker_init_fn=begin))
    next(batches)
    process = batches._workers[0]
    process.terminate()
    process.join(10)
    assert process.exitcode in (0, -signal.SIGTERM)
