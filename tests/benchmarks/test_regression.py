"""The guard against losses, with numbers in place of measurements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import regression
from benchmarks.__main__ import main
from benchmarks.regression import Measure

Given = Callable[..., None]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    """Set what is measured: operators, the ratio of times and the most that its rounds allow."""
    monkeypatch.setattr(regression, "RECORD", tmp_path / "recorded.json")

    def given(*, operators: float, ratio: float, best: float) -> None:
        def counts() -> Iterator[Measure]:
            yield Measure("operators", operators, operators, ratio=False)

        def ratios() -> Iterator[Measure]:
            yield Measure("time", ratio, best, ratio=True)

        monkeypatch.setattr(regression, "counts", counts)
        monkeypatch.setattr(regression, "ratios", ratios)

    return given


@pytest.mark.parametrize(
    ("now", "lost"),
    [
        ({"operators": 104, "ratio": 1.91, "best": 1.91}, []),
        ({"operators": 50, "ratio": 3.0, "best": 3.0}, []),
        ({"operators": 106, "ratio": 2.0, "best": 2.0}, ["operators"]),
        ({"operators": 100, "ratio": 1.8, "best": 1.95}, []),  # some rounds are as good as before
        ({"operators": 100, "ratio": 1.8, "best": 1.89}, ["time"]),
        ({"operators": 200, "ratio": 1.0, "best": 1.1}, ["operators", "time"]),
    ],
)
def test_a_loss_of_more_than_five_percent_fails(given, capsys, now, lost) -> None:
    given(operators=100, ratio=2.0, best=2.1)
    main(["--record"])
    capsys.readouterr()
    given(**now)
    if lost:
        with pytest.raises(SystemExit) as stop:
            main(["--check"])
        assert stop.value.code == 1
    else:
        main(["--check"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines if line.endswith("LOST")] == lost


def test_a_count_that_was_none_may_not_become_one(given) -> None:
    given(operators=0, ratio=2.0, best=2.0)
    main(["--record"])
    given(operators=1, ratio=2.0, best=2.0)
    assert not regression.check()


def test_ratios_of_other_processors_stay_and_are_not_compared(given, monkeypatch, capsys) -> None:
    processor = regression.torch.backends.cpu
    for name, ratio in (("AVX2", 2.0), ("AVX512", 4.0)):
        monkeypatch.setattr(processor, "get_cpu_capability", lambda name=name: name)
        given(operators=100, ratio=ratio, best=ratio)
        main(["--record"])
    recorded = json.loads(regression.RECORD.read_text())
    assert recorded["ratios"] == {"AVX2": {"time": 2.0}, "AVX512": {"time": 4.0}}
    monkeypatch.setattr(processor, "get_cpu_capability", lambda: "VSX")
    given(operators=100, ratio=1.0, best=1.0)
    capsys.readouterr()
    main(["--check"])
    out = capsys.readouterr().out
    assert "time: 1.00, not recorded" in out
    assert "no ratio is recorded for VSX" in out


def test_what_is_recorded_is_what_is_measured() -> None:
    """Without the measurements themselves: every name of a count stands in the record."""
    recorded = json.loads(Path(regression.__file__).with_name("recorded.json").read_text())
    rows = [
        f"{encoder}, {classes} classes" for encoder, classes, *_ in regression.device_traces.ROWS
    ]
    for row in [f"{encoder}, {size}×{size}" for encoder, size in regression.FORWARD] + rows:
        assert any(row in name for name in recorded["counts"]), row
