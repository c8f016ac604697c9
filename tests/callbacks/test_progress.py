"""Progress of a run: lines without a terminal, bars on one."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pspnet.callbacks import progress as progress_file
from pspnet.callbacks.progress import ProgressBars, ProgressLines, progress


class Tiny(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.layer(batch).square().mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/miou", torch.tensor(0.25), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still until somebody turns it."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress_file.time, "monotonic", lambda: clock.now)
    return clock


def run(tmp_path: Path, shown: Any, *others: Any, command: str = "fit", **options: Any) -> None:
    quiet = {"logger": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        callbacks=[*others, shown],
        num_sanity_val_steps=0,
        **{"max_epochs": 2, **quiet, **options},
    )
    batches = DataLoader(torch.ones(12, 1), batch_size=4)
    if command == "fit":
        trainer.fit(Tiny(), batches, batches)
    else:
        trainer.validate(Tiny(), batches, verbose=False)


def turning(clock: SimpleNamespace, seconds: float) -> Callback:
    """Return a callback that turns the clock before each step."""

    class Turning(Callback):
        def on_train_batch_start(self, *args: Any) -> None:
            clock.now += seconds

    return Turning()


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    err = capsys.readouterr().err
    return [line for line in err.splitlines() if re.match("epoch|step|validate", line)]


def test_a_line_per_epoch_says_what_is_left(tmp_path, capsys, clock) -> None:
    run(tmp_path, ProgressLines(), turning(clock, 10))
    estimate, first, second = lines(capsys)
    assert estimate == "step 2 of 6, about 40 s left"
    assert first.startswith("epoch 1 of 2, step 3 of 6: train/loss ")
    assert first.endswith("val/miou 0.25 (30 s, 30 s left)")
    assert second.startswith("epoch 2 of 2, step 6 of 6: ")
    assert second.endswith("(1 min 0 s, 0 s left)")


def test_a_long_epoch_says_that_it_is_alive(tmp_path, capsys, clock) -> None:
    run(tmp_path, ProgressLines(), turning(clock, 500), max_epochs=1)
    assert [line.partition(":")[0] for line in lines(capsys)] == [
        "step 2 of 3, about 8 min 20 s left",
        "epoch 1 of 1, step 2 of 3",  # after 1000 s; 500 and 1500 s are within ten minutes
        "epoch 1 of 1, step 3 of 3",
    ]


def test_a_training_of_seconds_has_a_line_per_epoch_alone(tmp_path, capsys, clock) -> None:
    run(tmp_path, ProgressLines(), turning(clock, 1))
    assert [line[:7] for line in lines(capsys)] == ["epoch 1", "epoch 2"]


def test_an_evaluation_says_its_time_in_one_line(tmp_path, capsys) -> None:
    run(tmp_path, ProgressLines(), command="validate")
    assert lines(capsys) == ["validate: 3 batches in 0 s"]


@pytest.mark.parametrize("command", ["fit", "validate"])
def test_bars_on_a_terminal(tmp_path, capsys, monkeypatch, clock, command) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    shown = progress()
    assert isinstance(shown, ProgressBars)
    run(tmp_path, shown, turning(clock, 10), command=command)
    err = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    assert ("epoch 2 of 2" in err and "6/6 0 s left train/loss" in err) == (command == "fit")
    assert "epoch 3" not in err
    assert "validation" in err
    assert ("3/3" in err) == (command == "validate")


METRICS = {"train/loss": 1.5, "lr": 0.00925, "val/miou": 0.31, "train/miou": 0.415}


@pytest.mark.parametrize(
    ("width", "metrics"),
    [
        (60, ""),
        (80, "train/loss 1.5, val/miou 0.31"),
        (100, "train/loss 1.5, val/miou 0.31"),
        (140, "train/loss 1.5, val/miou 0.31, train/miou 0.415, lr 0.00925"),
    ],
)
def test_a_narrow_terminal_loses_metrics_from_the_right(monkeypatch, width, metrics) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    now = {"global_step": 120, "current_epoch": 1, "max_epochs": 6}
    trainer: Any = SimpleNamespace(
        **now, progress_bar_metrics=METRICS, estimated_stepping_batches=348, num_val_batches=[24]
    )
    shown = ProgressBars()
    monkeypatch.setattr(shown, "left", lambda trainer: "10 min 0 s")
    shown.on_train_start(trainer, pl_module=Tiny())
    shown.on_validation_start(trainer, pl_module=Tiny())
    assert shown._bars is not None
    bars, console = shown._bars, shown._bars.console
    shown._stop()
    with console.capture() as captured:
        console.print(bars.get_renderable())
    text = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", captured.get())
    training, validation = (re.sub("[━╸╺]+", "=", line) for line in text.splitlines())
    assert training.split() == f"epoch 2 of 6 = 120/348 10 min 0 s left {metrics}".split()
    assert validation.split() == ["validation", "=", "0/24"]


def test_metrics_are_read_once_per_second_and_not_in_each_step(
    tmp_path, monkeypatch, clock
) -> None:
    """Each reading waits for a GPU."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown, read = ProgressBars(), []
    monkeypatch.setattr(shown, "numbers", lambda trainer: read.append(trainer.global_step) or [])
    run(tmp_path, shown, turning(clock, 0.4), max_epochs=1)
    assert read == [0, 0, 3, 3]  # start, epoch, after 1.2 s, end


def test_a_file_is_no_terminal(monkeypatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert isinstance(progress(), ProgressLines)
