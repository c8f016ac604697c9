"""A training that is killed and continued ends as one that nobody disturbs."""

import pytest
from reliability import kill_matrix


@pytest.mark.parametrize("options", [["--quick"], pytest.param([], marks=pytest.mark.slow)])
def test_every_cell_of_the_kill_matrix_is_equal(options, capfd):
    failed = kill_matrix.main(options)
    table = capfd.readouterr().out
    assert not failed, table
    assert ", 0 failed" in table
