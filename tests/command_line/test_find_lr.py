"""`fit --find_lr`: a test that reports, trains nothing, and leaves nothing half done."""

import csv
import math
from functools import partial
from pathlib import Path

import lightning
import numpy as np
import pytest
import yaml
from jsonargparse import Namespace
from lightning.pytorch.callbacks import BackboneFinetuning, EarlyStopping, ModelCheckpoint

from pspnet.callbacks.range_test import RangeTest, smoothed, suggestion
from pspnet.cli import main
from pspnet.command_line.find_lr import _takes_part
from pspnet.command_line.refusals import check_options
from pspnet.errors import UserError
from pspnet.task import Segmentation

ROOT = Path(__file__).parents[2]
FILES = {".lock", "config.yaml", "learning_rate.csv", "learning_rate.png"}


class Own(lightning.Callback):
    """A callback of somebody's own."""


@pytest.fixture
def command(shapes, tmp_path, monkeypatch):
    monkeypatch.setattr("pspnet.cli.RangeTest", partial(RangeTest, start=1e-3, end=1.0, steps=16))
    return [
        *("fit", "--find_lr", "--data.source=Folder", f"--data.source.root={shapes}"),
        *(f"--logs={tmp_path}", "--name=run", "--data.crop_size=33", "--data.batch_size=5"),
        *("--data.workers=0", "--model.network.encoder=tu-test_resnet", "--wandb=off"),
        *("--model.network.decoder_channels=16", "--model.optimizer.lr=0.02"),
        *("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"),
        *("--trainer.max_steps=4", "--early_stopping=3", "--data.augmentation.rotation=0"),
    ]


def test_a_test_reports_and_trains_nothing(command, tmp_path, capsys):
    words = ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.every_n_train_steps=1"]
    main([*command, *words])
    said = capsys.readouterr()
    assert "note: find_lr: without ModelCheckpoint\n" in said.err
    assert "learning rates: 0.001 to 1 in 16 steps" in said.err
    folder = tmp_path / "run" / "find_lr_0"
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"find_lr_0"}
    assert {path.name for path in folder.iterdir()} == FILES
    rows = [*csv.DictReader((folder / "learning_rate.csv").open())]
    rates, losses, curve = ([float(row[key]) for row in rows] for key in rows[0])
    assert rates == pytest.approx(list(np.geomspace(1e-3, 1, 16)), rel=1e-6)
    assert curve == list(smoothed(losses))
    found = f"{rates[suggestion(rates, losses)]:.2g}"
    first, last = said.out.splitlines()
    assert first == f"the loss falls fastest at {found}; train with --model.optimizer.lr={found}"
    assert last == f"learning_rate.png, learning_rate.csv and config.yaml: {folder}"
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["trainer"]["max_steps"] == 4  # the training's
    assert config["model"]["optimizer"]["init_args"]["lr"] == 0.02


def test_the_option_that_is_suggested_is_that_of_any_optimizer(capsys):
    configs = ("base.yaml", "experiment/camvid_lite0.yaml")  # the latter names AdamW
    files = [f"-c={ROOT / 'configs' / name}" for name in configs]
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *files, "--model.optimizer.lr=0.0012", "--print_config"])
    assert stopped.value.code == 0
    optimizer = yaml.safe_load(capsys.readouterr().out)["model"]["optimizer"]
    assert optimizer["class_path"] == "torch.optim.AdamW"
    assert optimizer["init_args"]["lr"] == 0.0012


def test_a_loss_that_is_never_finite_is_one_line_and_leaves_no_folder(
    command, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(Segmentation, "_total", lambda self, losses: losses[0] * math.nan)
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: find_lr: the loss is nan at a learning rate of 0.001, before")
    assert not [*(tmp_path / "run").iterdir()]


def test_callbacks_that_freeze_or_are_somebodys_own_take_part():
    callbacks = [BackboneFinetuning(), Own(), EarlyStopping("x"), ModelCheckpoint()]
    assert [_takes_part(callback) for callback in callbacks] == [True, True, False, False]


@pytest.mark.parametrize(
    ("command", "checkpoint", "message"),
    [
        ("fit", "a/last.ckpt", "leave out --resume and --ckpt_path, .* --init_from=a/last.ckpt"),
        ("validate", "a/last.ckpt", "fit alone tests learning rates"),
        ("fit", None, "more steps than trainer.fast_dev_run"),
    ],
)
def test_only_the_start_of_a_training_is_tested(command, checkpoint, message):
    off = {"resume": False, "calibrate": False, "continue_from": None}
    config = Namespace(**off, find_lr=True, trainer=Namespace(fast_dev_run=1))
    with pytest.raises(UserError, match=message):
        check_options(config, command=command, checkpoint=checkpoint)
