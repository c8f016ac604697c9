"""Rows of variants: ratios, operations, utilization, and variants that lack memory."""

from functools import partial

import pytest
import torch

from benchmarks import compare as module
from benchmarks import peak_memory
from benchmarks.compare import Comparison, Settings, Variant, compare

CPU = torch.device("cpu")
PRODUCT = 2 * 10 * 20 * 30  # operations


@pytest.fixture
def times(monkeypatch):
    """Replace the clock by one that shows the value under "now", which a call sets."""
    seconds: dict[str, float] = {}

    def clock(call):
        call()
        return seconds["now"]

    monkeypatch.setattr(module, "clock_of", lambda device: clock)
    return seconds


def product(name: str, clock: dict[str, float], seconds: list[float]):
    """Return a call that multiplies matrices and takes these seconds, one after the other."""
    left = iter(seconds)
    one, two = torch.ones(10, 20), torch.ones(20, 30)

    def call():
        clock["now"] = next(left)
        return name, one @ two

    return call


def variant(name: str, clock: dict[str, float], *seconds: float) -> Variant:
    build = partial(product, name, clock, [*seconds])
    return Variant(name, build, dtype=torch.float32, remark=f"variant {name}")


def timed(*variants: Variant, **options) -> Comparison:
    return Comparison("s", "c", variants, **{"memory": False, **options})


def test_rows_hold_medians_ratios_and_utilization(times):
    settings = Settings(CPU, threads=1, rounds=3, matmul_rates={torch.float32: 1000.0})
    variants = [variant("a", times, 9, 2, 3, 4), variant("b", times, 9, 8, 6, 8)]
    ours, other = compare(settings, timed(*variants, images=5, units=2))
    assert (ours.section, ours.case, ours.variant, ours.images) == ("s", "c", "a", 5)
    assert ours.seconds is not None
    assert (ours.seconds.median, ours.seconds.rounds) == (1.5, 3)  # per unit, of two
    assert ours.time_ratio is not None
    assert ours.time_ratio.median == ours.time_ratio.low == ours.time_ratio.high == 1
    assert other.time_ratio is not None
    assert (other.time_ratio.low, other.time_ratio.median, other.time_ratio.high) == (2, 2, 3)
    assert other.flops == PRODUCT // 2
    assert other.utilization == pytest.approx(PRODUCT / 2 / 4 / 1000)
    assert other.remark == "variant b"


def test_quick_calls_are_repeated(times):
    settings = Settings(CPU, threads=1, rounds=2)
    seconds = [1.0, 0.07, *[0.06] * 6]  # warm-up, estimate, three of 0.07 s make 0.2 s
    (row,) = compare(settings, timed(variant("a", times, *seconds)))
    assert row.seconds is not None
    assert row.seconds.median == pytest.approx(0.02)  # the clock shows 0.06 s for three calls


def test_long_comparisons_have_three_rounds(times):
    settings = Settings(CPU, threads=1, rounds=9)
    variants = [variant("a", times, *[50.0] * 4), variant("b", times, *[10.0] * 4)]
    for row in compare(settings, timed(*variants)):
        assert row.seconds is not None
        assert row.seconds.rounds == 3


def test_the_first_call_counts_where_all_take_a_minute(times):
    settings = Settings(CPU, threads=1, rounds=2)
    variants = [variant("a", times, 70.0, 80.0), variant("b", times, 140.0, 240.0)]
    ours, other = compare(settings, timed(*variants))
    assert ours.seconds is not None
    assert (ours.seconds.median, ours.seconds.rounds) == (75, 2)
    assert other.time_ratio is not None
    assert (other.time_ratio.median, other.time_ratio.rounds) == (2.5, 2)


def test_progress_says_what_is_measured_and_how_long_the_rest_takes(times, monkeypatch):
    clock = iter([0, 40, 90, 150])  # of the start, and after each variant's memory
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(peak_memory, "peak", lambda build, **_: 3 * 2**20)
    said = []
    settings = Settings(CPU, threads=1, rounds=2, on_progress=said.append)
    variants = [
        variant(name, times, *[seconds] * 4)
        for name, seconds in zip("abc", (9, 40, 3), strict=True)
    ]
    compare(settings, timed(*variants, memory=True))
    assert said == [
        "memory, a: 3 MiB; the others' in about 1 min 20 s",
        "memory, b: 3 MiB; the others' in about 45 s",
        "memory, c: 3 MiB",
        "first call, a: 9 s",
        "first call, b: 40 s",
        "first call, c: 3 s",
        "times, 2 rounds: about 1 min 44 s",
    ]


def test_a_variant_that_lacks_memory_is_remarked_and_not_timed(times, monkeypatch):
    def peak(build, **_):
        if build.args[0] == "b":
            raise MemoryError("out of memory")
        return {"a": 100, "c": 250}[build.args[0]]

    monkeypatch.setattr(peak_memory, "peak", peak)
    seen = []
    settings = Settings(CPU, threads=1, rounds=1, on_row=seen.append)
    variants = [variant(name, times, 3, 3) for name in "abc"]
    comparison = timed(*variants, memory=True, difference=lambda one, two: f"{two[0]} not {one[0]}")
    rows = compare(settings, comparison)
    assert [row.memory for row in rows] == [100, None, 250]
    assert [row.memory_ratio for row in rows] == [1, None, 2.5]
    assert rows[1].seconds is None
    assert [row.remark for row in rows] == [
        "variant a",
        "variant b; out of memory",
        "variant c; c not a",
    ]
    assert seen == rows


def test_a_variant_without_room_beside_the_others_is_left_out(times):
    def build():
        raise torch.OutOfMemoryError

    variants = [variant("a", times, 3, 3), Variant("b", build)]
    rows = compare(Settings(CPU, threads=1, rounds=1), timed(*variants))
    assert rows[0].seconds is not None
    assert rows[1].seconds is None
    assert rows[1].remark == "out of memory beside the others"


def test_memory_can_be_measured_alone(times, monkeypatch):
    monkeypatch.setattr(peak_memory, "peak", lambda build, **_: 7)
    comparison = timed(variant("a", times), memory=True, time=False)
    (row,) = compare(Settings(CPU, threads=1, rounds=1), comparison)
    assert (row.memory, row.seconds, row.flops) == (7, None, None)


def test_a_system_that_does_not_tell_memory_is_timed_alone(times, monkeypatch):
    monkeypatch.setattr(peak_memory, "measurable", lambda device: False)
    comparison = timed(variant("a", times, 3, 3), memory=True)
    (row,) = compare(Settings(CPU, threads=1, rounds=1), comparison)
    assert row.memory is None
    assert row.seconds is not None


def test_a_comparison_may_have_threads_of_its_own(times):
    seen = []

    def build():
        times["now"] = 1.0
        return lambda: seen.append(torch.get_num_threads())

    before = torch.get_num_threads()
    compare(Settings(CPU, threads=2, rounds=1), timed(Variant("a", build), threads=1))
    assert {*seen} == {1}
    assert torch.get_num_threads() == before
