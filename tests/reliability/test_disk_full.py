"""A full disk costs what is not yet written, in one line; see `disk_full` for the whole table."""

from pathlib import Path

import pytest
from disk_full import CASES, Case, prepare, run

(QUICK,) = (case for case in CASES if (case.command, case.at) == ("fit", "metrics.csv"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    prepare(folder)
    return folder


def check(case: Case, folder: Path) -> None:
    end = run(case, folder)
    errors = [line for line in end.lines if line.startswith("error: ")]
    assert (end.status, end.traceback, len(errors)) == (case.status, False, case.status), end
    assert end.lines
    assert not end.changed
    assert set(case.left) <= {Path(name).name for name in end.new}


def test_a_full_disk_gets_one_line_and_takes_no_file(tmp_path):
    prepare(tmp_path, trained=False)
    check(QUICK, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.command}-{case.at}")
def test_a_full_disk_at_each_kind_of_file(case, prepared):
    check(case, prepared)
