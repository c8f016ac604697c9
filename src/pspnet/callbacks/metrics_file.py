"""metrics.csv: a row per logged step, also where a run was stopped and continued."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from pspnet.errors import UserError, write_atomic


class MetricsLogger(CSVLogger):
    """Lightning's CSV logger, which also continues the file of a run that was stopped.

    Args:
        folder, name, version: the run's folder is `folder/name/version`.
        steps: steps that the run has taken; rows of later steps are dropped. None starts a file.
    """

    def __init__(
        self, folder: str, *, name: str, version: str | None, steps: int | None = None
    ) -> None:
        super().__init__(folder, name=name, version=version)
        self.steps = steps

    @property
    @rank_zero_experiment
    def experiment(self) -> MetricsWriter:
        if self._experiment is None:
            self._experiment = MetricsWriter(self.log_dir, steps=self.steps)
        assert isinstance(self._experiment, MetricsWriter)
        return self._experiment


class MetricsWriter(ExperimentWriter):
    """Writes metrics.csv: what it has saved is on the disk and is never lost again."""

    def __init__(self, folder: str, *, steps: int | None) -> None:
        with _writing(folder):
            super().__init__(folder)
            file = Path(self.metrics_file_path)
            if steps is None:
                file.unlink(missing_ok=True)
            elif file.is_file():
                self.metrics_keys, rows = _rows(file, steps=steps)
                _write_rows(file, self.metrics_keys, rows)

    def save(self) -> None:
        """Add the rows since the last call to the file.

        Raises:
            UserError: if it cannot be written.
        """
        if not self.metrics:
            return
        with _writing(self.metrics_file_path):
            super().save()
            with Path(self.metrics_file_path).open("rb") as file:
                os.fsync(file)

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        file = Path(self.metrics_file_path)
        _write_rows(file, fieldnames, _rows(file)[1])

    def _check_log_dir_exists(self) -> None:
        """Keep what is there; Lightning deletes it."""


def _rows(file: Path, *, steps: float = math.inf) -> tuple[list[str], list[dict[str, str]]]:
    """Return header and rows of the steps before `steps`, without a last line that was cut off."""
    whole, newline, _ = file.read_text("utf-8").rpartition("\n")
    reader = csv.DictReader(io.StringIO(whole + newline, newline=""))
    return [*(reader.fieldnames or ())], [row for row in reader if int(row["step"]) < steps]


def _write_rows(file: Path, header: Sequence[str], rows: Iterable[dict[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=header)
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(file, text.getvalue().encode())


@contextmanager
def _writing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); make room or give another folder by "
            "--logs, and resume from the last checkpoint"
        ) from error
