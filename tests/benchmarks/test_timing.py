"""Turns, medians and quartiles, with a prescribed clock."""

import pytest
import torch

from benchmarks.timing import alternate, clock_of, repeated, spread


def test_calls_take_turns_forwards_and_backwards():
    calls: list[str] = []
    appending = {name: lambda name=name: calls.append(name) for name in "abc"}
    ticks = iter(range(1, 10))

    def clock(call):
        call()
        return float(next(ticks))

    seconds = alternate(appending, rounds=3, clock=clock)
    assert "".join(calls) == "abccbaabc"
    assert seconds == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}


@pytest.mark.parametrize(
    ("values", "median", "low", "high"),
    [
        ([3.0], 3, 3, 3),
        ([4.0, 1.0], 2.5, 1.75, 3.25),
        ([9.0, 1.0, 2.0, 4.0, 3.0], 3, 2, 4),  # one slow round moves none of them far
    ],
)
def test_median_and_quartiles(values, median, low, high):
    found = spread(values)
    assert (found.median, found.low, found.high) == (median, low, high)
    assert found.rounds == len(values)


def test_a_repeated_call_is_called_so_often():
    calls: list[int] = []
    repeated(lambda: calls.append(0), times=4)()
    assert len(calls) == 4


def test_the_wall_clock_calls_once_and_goes_forwards():
    calls: list[int] = []
    assert clock_of(torch.device("cpu"))(lambda: calls.append(0)) > 0
    assert len(calls) == 1
