"""Costs of the 1×1 convolutions against formulas, and the gradients of a log."""

import numpy as np
import pytest
import torch

from pspnet import PSPNet
from pspnet.callbacks.costs import count_flops, count_parameters
from pspnet.errors import UserError
from pspnet.tools.explain.auxiliary import AUXILIARY, MAIN, gradients
from pspnet.tools.explain.reduction import reduction_costs


@pytest.mark.parametrize("reduce", [True, False])
@pytest.mark.parametrize("bins", [(1, 2, 3, 6), (1, 2, 4)])
def test_costs_against_formulas(reduce, bins):
    torch.manual_seed(0)
    network = PSPNet(5, encoder="tu-resnet10n", decoder_channels=16, bins=bins, reduce=reduce)
    costs = reduction_costs(network, size=(65, 97))
    assert costs[reduce].computed == count_flops(network, size=(65, 97))
    network.concatenate = True
    cells, units, width = sum(side**2 for side in bins), 9 * 13, 256 // len(bins)
    with_, without = costs[True], costs[False]
    assert (with_.level, with_.context) == (width, 256 + len(bins) * width)
    assert with_.pyramid == (len(bins) * width * (256 + 2), 2 * 256 * width * cells)
    assert (without.level, without.context) == (256, 256 * (1 + len(bins)))
    assert without.pyramid == (0, 0)
    for cost in (with_, without):
        kernel = 9 * cost.context * 16
        assert cost.decoder == (kernel + 2 * 16 + 16 * 5 + 5, 2 * (kernel + 16 * 5) * units)
    total = (count_parameters(network, inference=True), count_flops(network, size=(65, 97)))
    assert costs[reduce].network == total
    saved = with_.network[0] - without.network[0]
    assert saved == with_.pyramid[0] + with_.decoder[0] - without.decoder[0]


def log(path, names, rows):
    path.write_text(f"step,{','.join(names)}\n" + "".join(f"{row}\n" for row in rows))
    return path


def test_gradients_of_a_log(tmp_path):
    steps = range(9, 1000, 10)
    rows = [f"{step},{2.0 if step < 100 else 0.5},{step + 1}" for step in steps]
    rows.append("1009,nan,1")
    found = gradients(log(tmp_path / "metrics.csv", (AUXILIARY, MAIN), rows))
    np.testing.assert_array_equal(found.steps, list(steps))
    first = np.arange(10, 101, 10)
    expected = (2.0, np.median(first), np.median(2 / first))
    assert found.tenth(0) == pytest.approx(expected)
    assert found.tenth(9)[0] == 0.5
    assert found.tenth(9)[2] == pytest.approx(0.5 / 950, rel=0.02)


def test_a_log_of_one_step_is_all_its_tenths(tmp_path):
    found = gradients(log(tmp_path / "metrics.csv", (AUXILIARY, MAIN), ["9,1,4"]))
    assert [found.tenth(which) for which in (0, 5, 9)] == [(1.0, 4.0, 0.25)] * 3


def test_a_log_that_says_nothing(tmp_path):
    assert gradients(tmp_path / "absent.csv") is None
    assert gradients(log(tmp_path / "a.csv", ("train/loss",), ["9,1"])) is None
    assert gradients(log(tmp_path / "b.csv", (AUXILIARY, MAIN), ["9,1,", "19,,2"])) is None
    with pytest.raises(UserError, match="no number"):
        gradients(log(tmp_path / "c.csv", (AUXILIARY, MAIN), ["9,1,x"]))
