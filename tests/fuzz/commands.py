"""Commands with options to fuzz, each up to where it would begin to compute."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import lightning
import torch
from fuzz.outcomes import Started
from fuzz.parsers import Option, one_command, trainer_options
from fuzz.values import lay_out
from lightning.pytorch.strategies.launchers.multiprocessing import _MultiProcessingLauncher
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from shapes import paint
from torch import nn

import pspnet.__main__ as front
from pspnet.data.scenes.dataset import Scenes
from pspnet.models import pspnet as models

TINY = """
data:
  source: {class_path: Folder, init_args: {root: data}}
  crop_size: 33
  batch_size: 2
  workers: 0
  augmentation: {scale: [1.0, 1.0], rotation: 0}
trainer: {max_epochs: 1, accelerator: cpu, precision: 32-true, enable_progress_bar: false}
model: {network: {encoder: tu-test_resnet, decoder_channels: 16}}
wandb: 'off'
"""


@contextmanager
def sandbox(top: Path) -> Iterator[Path]:
    """Work in a folder with a small data set, a configuration and files of every kind."""
    lay_out(top)
    paint(top / "data", count=9)
    (top / "tiny.yaml").write_text(TINY)
    (top / "logs").mkdir()
    before = Path.cwd()
    os.chdir(top)
    try:
        yield top
    finally:
        os.chdir(before)


def checkpoint(top: Path) -> Path:
    """Train for a step, and return the checkpoint."""
    front.main(
        ["fit", "--config=tiny.yaml", "--name=trained", "--version=v", "--trainer.max_steps=1"]
    )
    return top / "logs/trained/v/checkpoints/last.ckpt"


@contextmanager
def stopped_before_computing(command: str) -> Iterator[None]:
    """Let a command set up all it needs and take a batch, but no step."""
    with ExitStack() as patches:
        enter = patches.enter_context
        enter(one_command(command))
        for launcher in (_SubprocessScriptLauncher, _MultiProcessingLauncher):
            enter(patch.object(launcher, "launch", _start))
        enter(patch.object(lightning.Trainer, "_run_stage", _first_batch))
        enter(patch.object(nn.Module, "compile", lambda self: None))
        enter(patch.object(Scenes, "_write", _start))
        enter(patch.object(models, "build_encoder", _remembered(models.build_encoder)))
        yield


def _start(*_: object, **__: object) -> NoReturn:
    raise Started


def _first_batch(trainer: lightning.Trainer) -> None:
    model, data = trainer.lightning_module, trainer.datamodule  # type: ignore[attr-defined]
    if not trainer.training:
        loop = trainer._evaluation_loop if trainer.evaluating else trainer.predict_loop
        loop.setup_data()
        loader = {"val": data.val_dataloader, "test": data.test_dataloader}
        split = "val" if trainer.validating else "test"
        next(iter(data.predict_dataloader() if trainer.predicting else loader[split]()), None)
        return
    trainer.fit_loop.setup_data()
    trainer.fit_loop.epoch_loop.val_loop.setup_data()
    if trainer.fit_loop.skip:
        return
    batch = next(iter(trainer.fit_loop._combined_loader.flattened[0]))  # type: ignore[union-attr]
    image = data.on_after_batch_transfer(batch, 0)["image"]
    with torch.no_grad(), trainer.precision_plugin.forward_context():
        output = model.network(image)
    model.loss(output[0] if isinstance(output, tuple) else output, batch["label"].long())
    for group in trainer.optimizers[0].param_groups:
        float(group["lr"])


def _remembered(build: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[str, Any] = {}

    @functools.wraps(build)
    def remembering(*args: Any, **options: Any) -> Any:
        key = repr((args, options))
        if key not in known:
            known[key] = build(*args, **options)
            if len(known) > 4:
                known.pop(next(iter(known)))
        return copy.deepcopy(known.get(key) or build(*args, **options))

    return remembering


@dataclass(frozen=True)
class Command:
    """A command of the front door with the words that make it run, to which one more is added."""

    name: str
    words: tuple[str, ...]
    options: Callable[[], list[Option]]

    def run(self, option: Option, value: str) -> None:
        """Run it with an option's value."""
        front.main([self.name, *self.words, *option.given(value)])


def training(command: str, *, trained: Path | None = None) -> Command:
    """Return fit, or an evaluation of a checkpoint."""
    words = ("--config=tiny.yaml",) + ((f"--ckpt_path={trained}",) if trained else ())
    return Command(command, words, lambda: trainer_options(command))
