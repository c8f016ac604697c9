"""metrics.csv of a run that was stopped and continued is that of one that was not."""

from pathlib import Path

import pytest

from pspnet.callbacks.metrics_file import MetricsLogger
from pspnet.errors import UserError


def log(folder: Path, steps: range, *, taken: int | None = None) -> str:
    """Log steps, each fifth with a validation; return the file."""
    logger = MetricsLogger(str(folder), name="a", version="v", steps=taken)
    for step in steps:
        logger.log_metrics({"loss": 1 / (step + 1)}, step)
        if step % 5 == 4:
            logger.log_metrics({"miou": step / 7}, step)
        if step % 3 == 0:
            logger.save()
    logger.finalize("success")
    return (folder / "a" / "v" / "metrics.csv").read_text()


@pytest.mark.parametrize("taken", [0, 3, 5, 12])
def test_a_continued_file_is_that_of_a_run_without_interruption(tmp_path, taken):
    whole = log(tmp_path / "whole", range(14))
    cut = log(tmp_path / "cut", range(13))
    file = tmp_path / "cut" / "a" / "v" / "metrics.csv"
    file.write_text(cut[:-9])  # a kill within the last line
    assert log(tmp_path / "cut", range(taken, 14), taken=taken) == whole


def test_a_new_run_starts_its_file(tmp_path):
    log(tmp_path, range(9))
    assert log(tmp_path, range(2)) == log(tmp_path / "other", range(2))


def test_a_full_disk_is_said_in_one_line(tmp_path):
    logger = MetricsLogger("/dev/full", name="a", version="v")
    with pytest.raises(UserError, match=r"/dev/full/a/v: cannot be written"):
        logger.log_metrics({"loss": 1}, 0)
    full = MetricsLogger(str(tmp_path), name="a", version="v")
    full.log_metrics({"loss": 1}, 0)
    (tmp_path / "a" / "v" / "metrics.csv").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"metrics.csv: cannot be written"):
        full.save()
