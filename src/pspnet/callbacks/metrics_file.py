"""metrics.csv: a row per logged step, for stopped runs and disks that are full for a while, too."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only

from pspnet.errors import NotWritten, warn
from pspnet.files.writing import write_atomic, writing

Row = dict[str, Any]


class MetricsLogger(CSVLogger):
    """Lightning's CSV logger, which outlives a full disk and continues the file of a stopped run.

    Args:
        folder, name, version: the run's folder is `folder/name/version`.
        steps: steps that the run has taken; rows of later steps are dropped. None starts a file.
    """

    def __init__(
        self, folder: str, *, name: str, version: str | None = None, steps: int | None = None
    ) -> None:
        super().__init__(folder, name=name, version=version)
        self.steps = steps
        self._warned = False

    @property
    @rank_zero_experiment
    def experiment(self) -> MetricsWriter:
        """The writer of metrics.csv; making it makes the folder."""
        if self._experiment is None:
            self._experiment = MetricsWriter(self.log_dir, steps=self.steps)
        assert isinstance(self._experiment, MetricsWriter)
        return self._experiment

    @rank_zero_only
    def save(self) -> None:
        """Write the rows that wait; warn once if the system refuses, and try again next time.

        Raises:
            NotWritten: if the run's folder is gone.
        """
        try:
            self.experiment.save()
        except NotWritten as error:
            if not Path(self.log_dir).is_dir():
                raise
            if not self._warned:
                warn(f"{error}; its rows are kept until they can be written")
            self._warned = True

    def finalize(self, status: str) -> None:
        try:
            super().finalize(status)
        except NotWritten as error:
            if status == "success":
                raise
            if Path(self.log_dir).is_dir():  # otherwise that has ended the run
                warn(str(error))

    @rank_zero_only
    def check(self) -> None:
        """Write the rows that wait.

        Raises:
            NotWritten: if they are lost, as the command ends.
        """
        self.experiment.save()


class MetricsWriter(ExperimentWriter):
    """Lightning's writer, which forgets rows only when they are on the disk.

    A row appears whole or not at all, and a new column replaces the file at once, as Lightning's
    would be empty while it is written.
    """

    def __init__(self, folder: str, *, steps: int | None = None) -> None:
        with writing(Path(folder)):
            super().__init__(folder)
            file = Path(self.metrics_file_path)
            if steps is None:
                file.unlink(missing_ok=True)
            elif file.is_file():
                self.metrics_keys, rows = _read(file, steps=steps)
                write_atomic(file, _text(rows, self.metrics_keys, header=True))

    def save(self) -> None:
        """Write the rows that wait.

        Raises:
            NotWritten: if the system refuses; the file is as before, and the rows wait further.
        """
        if not self.metrics:
            return
        file, known = Path(self.metrics_file_path), list(self.metrics_keys)
        new = self._record_new_keys()
        try:
            if file.is_file() and not new:
                _append(file, _text(self.metrics, self.metrics_keys))
            else:
                rows = _read(file)[1] if file.is_file() else []
                write_atomic(file, _text([*rows, *self.metrics], self.metrics_keys, header=True))
        except NotWritten:
            self.metrics_keys = known
            raise
        self.metrics = []

    def _check_log_dir_exists(self) -> None:
        """Keep what is there; Lightning deletes it."""


def _read(file: Path, *, steps: float = math.inf) -> tuple[list[str], list[Row]]:
    """Return header and rows of the steps before `steps`, without a last line that was cut off."""
    whole, newline, _ = file.read_text("utf-8").rpartition("\n")
    reader = csv.DictReader(io.StringIO(whole + newline, newline=""))
    return [*(reader.fieldnames or ())], [row for row in reader if int(row["step"]) < steps]


def _text(rows: Sequence[Row], columns: Sequence[str], *, header: bool = False) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _append(file: Path, content: bytes) -> None:
    """Append to a file all or nothing."""
    with writing(file), file.open("r+b", buffering=0) as opened:
        length = opened.seek(0, os.SEEK_END)
        try:
            written = opened.write(content)
            if written < len(content):  # the disk is full, as the next write says
                opened.write(content[written:])
            os.fsync(opened.fileno())
        except OSError:
            opened.truncate(length)
            raise
