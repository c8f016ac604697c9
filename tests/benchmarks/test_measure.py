"""Rows of sides: ratios, operations, share of the limit, and what becomes of a side that fails."""

from functools import partial

import pytest
import torch

from benchmarks import measure, memory
from benchmarks.measure import Bench, Side, compare

CPU = torch.device("cpu")
PRODUCT = 2 * 10 * 20 * 30  # operations


@pytest.fixture
def times(monkeypatch):
    """What the clock says, under "now", which a call sets."""
    seconds: dict[str, float] = {}

    def clock(call):
        call()
        return seconds["now"]

    monkeypatch.setattr(measure, "clock_of", lambda device: clock)
    return seconds


def product(name: str, clock: dict[str, float], seconds: list[float]):
    """A call that multiplies matrices and takes these seconds, one after the other."""
    left = iter(seconds)
    one, two = torch.ones(10, 20), torch.ones(20, 30)

    def call():
        clock["now"] = next(left)
        return name, one @ two

    return call


def side(name: str, clock: dict[str, float], *seconds: float) -> Side:
    build = partial(product, name, clock, [*seconds])
    return Side(name, build, dtype=torch.float32, remark=f"side {name}")


def test_rows_hold_medians_ratios_and_shares(times):
    bench = Bench(CPU, threads=1, rounds=3, rates={torch.float32: 1000.0})
    sides = [side("a", times, 9, 2, 3, 4), side("b", times, 9, 8, 6, 8)]
    ours, other = compare(bench, sides, section="s", case="c", images=5, units=2, sized=False)
    assert (ours.section, ours.case, ours.side, ours.images) == ("s", "c", "a", 5)
    assert ours.seconds is not None
    assert (ours.seconds.median, ours.seconds.rounds) == (1.5, 3)  # of one of two units
    assert ours.ratio is not None
    assert ours.ratio.median == ours.ratio.low == ours.ratio.high == 1
    assert other.ratio is not None
    assert (other.ratio.low, other.ratio.median, other.ratio.high) == (2, 2, 3)
    assert other.flops == PRODUCT // 2
    assert other.share == pytest.approx(PRODUCT / 2 / 4 / 1000)
    assert other.remark == "side b"


def test_quick_calls_are_repeated(times):
    bench = Bench(CPU, threads=1, rounds=2)
    seconds = [1.0, 0.07, *[0.06] * 6]  # warm-up, estimate, three of 0.07 s make 0.2 s
    (row,) = compare(bench, [side("a", times, *seconds)], section="s", case="c", sized=False)
    assert row.seconds is not None
    assert row.seconds.median == pytest.approx(0.02)  # the clock says 0.06 s of three calls


def test_long_comparisons_have_three_rounds(times):
    bench = Bench(CPU, threads=1, rounds=9)
    sides = [side("a", times, *[50.0] * 4), side("b", times, *[10.0] * 4)]
    for row in compare(bench, sides, section="s", case="c", sized=False):
        assert row.seconds is not None
        assert row.seconds.rounds == 3


def test_the_first_call_counts_where_all_take_a_minute(times):
    bench = Bench(CPU, threads=1, rounds=2)
    sides = [side("a", times, 70.0, 80.0), side("b", times, 140.0, 240.0)]
    ours, other = compare(bench, sides, section="s", case="c", sized=False)
    assert ours.seconds is not None
    assert (ours.seconds.median, ours.seconds.rounds) == (75, 2)
    assert other.ratio is not None
    assert (other.ratio.median, other.ratio.rounds) == (2.5, 2)


def test_what_lacks_memory_is_said_and_not_timed(times, monkeypatch):
    def peak(build, **_):
        if build.args[0] == "b":
            raise MemoryError("out of memory")
        return {"a": 100, "c": 250}[build.args[0]]

    monkeypatch.setattr(memory, "peak", peak)
    told = []
    bench = Bench(CPU, threads=1, rounds=1, say=told.append)
    sides = [side(name, times, 3, 3) for name in "abc"]
    rows = compare(bench, sides, section="s", case="c", differing=lambda a, b: f"{b[0]} not {a[0]}")
    assert [row.memory for row in rows] == [100, None, 250]
    assert [row.memory_ratio for row in rows] == [1, None, 2.5]
    assert rows[1].seconds is None
    assert [row.remark for row in rows] == ["side a", "side b; out of memory", "side c; c not a"]
    assert told == rows


def test_a_side_without_room_beside_the_others_is_left_out(times):
    def build():
        raise torch.OutOfMemoryError

    bench = Bench(CPU, threads=1, rounds=1)
    sides = [side("a", times, 3, 3), Side("b", build)]
    rows = compare(bench, sides, section="s", case="c", sized=False)
    assert rows[0].seconds is not None
    assert rows[1].seconds is None
    assert rows[1].remark == "out of memory beside the others"


def test_memory_alone_is_measured_where_there_is_to_be_no_time(times, monkeypatch):
    monkeypatch.setattr(memory, "peak", lambda build, **_: 7)
    (row,) = compare(
        Bench(CPU, threads=1, rounds=1), [side("a", times)], section="s", case="c", timed=False
    )
    assert (row.memory, row.seconds, row.flops) == (7, None, None)
