"""metrics.csv loses no row to a disk that is full for a while, and none that it had."""

import csv
from pathlib import Path

import pytest
from full_disk import limit_files

from pspnet.callbacks.metrics_file import MetricsLogger
from pspnet.errors import NotWritten


@pytest.fixture
def logger(tmp_path: Path) -> MetricsLogger:
    return MetricsLogger(str(tmp_path), name="a", version="v")


def rows(logger: MetricsLogger) -> list[dict[str, str]]:
    with Path(logger.log_dir, "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("new", ["loss", "miou"], ids=["same columns", "a new column"])
def test_rows_wait_for_room(logger, new, capsys):
    logger.log_metrics({"loss": 0.5}, step=0)
    logger.save()
    before = Path(logger.log_dir, "metrics.csv").read_bytes()
    limit_files(len(before) + 1)  # room for a part of the next row
    try:
        for step in (1, 2):
            logger.log_metrics({new: 0.25}, step=step)
            logger.save()
        with pytest.raises(NotWritten):
            logger.check()
    finally:
        limit_files(None)
    assert Path(logger.log_dir, "metrics.csv").read_bytes() == before
    assert capsys.readouterr().err.count("its rows are kept") == 1
    logger.check()
    assert [row["step"] for row in rows(logger)] == ["0", "1", "2"]
    assert [row[new] for row in rows(logger)[1:]] == ["0.25", "0.25"]
    assert [path.name for path in Path(logger.log_dir).iterdir()] == ["metrics.csv"]


def test_a_folder_that_is_gone_ends_the_run_in_one_line(logger):
    logger.log_metrics({"loss": 0.5}, step=0)
    logger.save()
    Path(logger.log_dir, "metrics.csv").unlink()
    Path(logger.log_dir).rmdir()
    logger.log_metrics({"loss": 0.5}, step=1)
    with pytest.raises(NotWritten, match=r"metrics\.csv cannot be written \(No such file"):
        logger.save()
    logger.finalize("failed")  # what ends the run has been said


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


def test_a_folder_that_cannot_be_made_gets_one_line(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(NotWritten, match=r"a/v cannot be written \(Not a directory\); name"):
        _ = MetricsLogger(str(tmp_path), name="a", version="v").experiment
