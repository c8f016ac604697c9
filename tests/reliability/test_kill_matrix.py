"""A training that is killed and continued ends as one that nobody disturbs."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("options", [["--quick"], pytest.param([], marks=pytest.mark.slow)])
def test_every_cell_of_the_kill_matrix_is_equal(options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "reliability.kill_matrix", *options]
    table = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert table.returncode == 0, table.stdout + table.stderr
    assert ", 0 failed" in table.stdout
