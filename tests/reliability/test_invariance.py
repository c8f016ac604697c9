"""The same weights from every division of a step, and from every sitting."""

from __future__ import annotations

from pathlib import Path

import pytest
from invariance import DIVISIONS, Division, difference, fit, run, scores
from shapes import paint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set and the weights of a training that is not divided."""
    root = tmp_path_factory.mktemp("invariance")
    paint(root / "shapes", count=21)
    (root / "alone").mkdir()
    fit(root / "alone", Division(), shapes=root / "shapes")
    assert len(scores(root / "alone")) == 3
    return root


@pytest.mark.parametrize(
    "division",
    [
        Division(accumulated=2),
        Division(workers=2, stop=2),  # before the validation that is due
    ],
    ids=str,
)
def test_one_process(folder: Path, division: Division) -> None:
    own = folder / str(division)
    own.mkdir()
    if division.stop:
        with pytest.raises(InterruptedError):
            fit(own, division, shapes=folder / "shapes")
    fit(own, division, shapes=folder / "shapes", resumed=bool(division.stop))
    assert difference(folder / "alone", own) < (1e-12 if division.accumulated > 1 else 1e-300)
    assert scores(own) == scores(folder / "alone")


@pytest.mark.slow
@pytest.mark.parametrize("division", DIVISIONS, ids=str)
def test_processes(folder: Path, division: Division) -> None:
    done = run(folder / f"processes {division}", division, shapes=folder / "shapes")
    assert difference(folder / "alone", done) < 1e-12
    assert scores(done) == scores(folder / "alone")


def test_a_resumed_run_may_be_divided_otherwise(folder: Path) -> None:
    own = folder / "otherwise"
    own.mkdir()
    with pytest.raises(InterruptedError):
        fit(own, Division(accumulated=2, stop=4), shapes=folder / "shapes")
    fit(own, Division(accumulated=4, workers=1), shapes=folder / "shapes", resumed=True)
    assert difference(folder / "alone", own) < 1e-12
    assert scores(own) == scores(folder / "alone")
