"""Gradient norms of a run's log."""

import numpy as np
import pytest

from pspnet import PSPNet
from pspnet.tools.explain.report.auxiliary_gradient import (
    AUXILIARY,
    MAIN,
    auxiliary_section,
    read_gradients,
)


def log(path, names, rows):
    path.write_text(f"step,{','.join(names)}\n" + "".join(f"{row}\n" for row in rows))
    return path


def test_gradients_of_a_log(tmp_path):
    steps = range(9, 1000, 10)
    rows = [f"{step},{2.0 if step < 100 else 0.5},{step + 1}" for step in steps]
    rows.append("1009,nan,1")
    found = read_gradients(log(tmp_path / "metrics.csv", (AUXILIARY, MAIN), rows))
    np.testing.assert_array_equal(found.steps, [step + 1 for step in steps])
    first = np.arange(10, 101, 10)
    expected = (2.0, np.median(first), np.median(2 / first))
    assert found.tenth(0) == pytest.approx(expected)
    assert found.tenth(9)[0] == 0.5
    assert found.tenth(9)[2] == pytest.approx(0.5 / 950, rel=0.02)


def test_a_log_of_one_step_is_all_its_tenths(tmp_path):
    found = read_gradients(log(tmp_path / "metrics.csv", (AUXILIARY, MAIN), ["9,1,4"]))
    assert [found.tenth(which) for which in (0, 5, 9)] == [(1.0, 4.0, 0.25)] * 3


def test_a_log_that_says_nothing(tmp_path):
    assert read_gradients(tmp_path / "absent.csv") is None
    assert read_gradients(log(tmp_path / "a.csv", ("train/loss",), ["9,1"])) is None
    assert read_gradients(log(tmp_path / "b.csv", (AUXILIARY, MAIN), ["9,1,", "19,,2"])) is None


def test_sections_without_a_head_or_a_log_say_why(tmp_path):
    network = PSPNet(3, encoder="tu-resnet10n", decoder_channels=8)
    absent = tmp_path / "absent.csv"
    section = auxiliary_section(network, log=absent, folder=tmp_path, source="a")
    assert "absent.csv, holds no gradients" in section
    network.auxiliary = None
    section = auxiliary_section(network, log=absent, folder=tmp_path, source="a")
    assert "the network was trained without one" in section
    assert not list(tmp_path.iterdir())
