"""Tables, durations and the figure's groups of given rows."""

import pytest

from benchmarks.compare import Row
from benchmarks.report import describe_machine, describe_row, duration, render_report
from benchmarks.timing import Spread

MACHINE = {"device": "CPU", "cpu": "Some CPU", "threads": 2, "cuda": None, "rate": 0.12345}
OURS = Row(
    *("inference", "small", "ours"),
    images=4,
    seconds=Spread(0.5, 0.4, 0.625, rounds=5),
    time_ratio=Spread(1, 1, 1, rounds=5),
    flops=1_500_000_000,
    utilization=0.421,
    memory=2000 * 2**20,
    memory_ratio=1.0,
)
OTHER = Row(
    *("inference", "small", "published"),
    images=4,
    seconds=Spread(1.25, 1.2, 1.5, rounds=5),
    time_ratio=Spread(2.5, 2.25, 2.625, rounds=5),
    remark="out of memory",
)
ALONE = Row("augmentation", "large", "ours", seconds=Spread(0.002, 0.0019, 0.0021, rounds=3))


def cells(text: str) -> list[str]:
    return [cell.strip() for cell in text.strip("|").split("|")]


def test_the_report_has_a_table_per_section():
    text = render_report([OURS, OTHER, ALONE], machine=MACHINE)
    heads, rule, ours, other = (
        cells(row) for row in text[text.index("| case") :].split("\n\n")[0].splitlines()
    )
    assert dict(zip(heads, ours, strict=True)) == {
        "case": "small",
        "variant": "ours",
        "time": "500 ms [400, 625], n = 5",
        "time, × ours": "1.00 [1.00, 1.00]",
        "images/s": "8.00",
        "GFLOP": "1.50",
        "utilization": "42 %",
        "memory, MiB": "2,000",
        "memory, × ours": "1.00",
        "remark": "–",
    }
    assert [head for head, dashes in zip(heads, rule, strict=True) if dashes == "---"] == [
        "case",
        "variant",
        "remark",
    ]
    assert other[2:6] == ["1.25 s [1.20, 1.50], n = 5", "2.50 [2.25, 2.62]", "3.20", "–"]
    second = text[text.index("## Augmentation") :].splitlines()[2]
    assert cells(second) == ["case", "variant", "time", "images/s"]  # nothing else is known
    assert "rate 0.123" in text
    assert "cuda" not in text
    assert "![" in text


def test_a_report_without_ratios_has_no_figure():
    assert "![" not in render_report([ALONE], machine=MACHINE)


@pytest.mark.parametrize(
    ("spread", "expected"),
    [
        (Spread(0.00436, 0.0043, 0.00441, 9), "4.36 ms [4.30, 4.41], n = 9"),
        (Spread(1.0, 0.999, 123.4, 1), "1.00 s [0.999, 123], n = 1"),
        (None, "–"),
    ],
)
def test_durations(spread, expected):
    assert duration(spread) == expected


def test_a_row_is_described_without_unknown_values():
    assert describe_row(ALONE) == (
        "augmentation: case large, variant ours, time 2.00 ms [1.90, 2.10], n = 3, images/s 500"
    )
    assert describe_machine(MACHINE) == "device CPU, cpu Some CPU, threads 2, rate 0.123"
