"""Every option of every command, with its type, as the parsers themselves have them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import EarlyStopping
from torch import optim

from pspnet import cli, errors
from pspnet.data.datasets.base import Source
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.losses import Loss
from pspnet.lr_schedules import PolyLR
from pspnet.models.pspnet import PSPNet


@dataclass(frozen=True)
class Option:
    """An option of a command.

    Args:
        name: without hyphens; of a class's own options also `model.loss.init_args.threshold`.
        kind: its type, None of what is no plain value.
        words: that go before it, such as the class of `model.loss`; then its hyphens, if any.
        choices: the only words that are accepted, if there are such.
    """

    name: str
    kind: Any
    words: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    def given(self, value: str) -> list[str]:
        """Return the words of a command that give it a value."""
        return [*self.words, f"--{self.name}={value}"]


class _Caught(Exception):
    pass


def one_command(command: str) -> Any:
    """Patch the command line to have that command alone: its parser is built in a quarter."""
    commands = {command: cli.PSPNetCLI.subcommands()[command]}
    return patch.object(cli.PSPNetCLI, "subcommands", staticmethod(lambda: commands))


def trainer_options(command: str) -> list[Option]:
    """Return all options of fit, validate, test or predict, those of the classes included."""

    def catch(self: cli.PSPNetCLI, *_: object) -> None:
        found.extend(self._subcommand_parsers[command]._actions)
        raise _Caught

    found: list[Any] = []
    caught = patch.object(cli.PSPNetCLI, "parse_arguments", catch)
    with one_command(command), caught, suppress(_Caught):
        cli.main([command])
    plain = [
        Option(action.dest, action._typehint)
        for action in found
        if type(action).__name__ == "ActionTypeHint"
    ]
    return [*plain, Option("config", None), Option("data", None), *_options_of_classes()]


def _options_of_classes() -> Iterator[Option]:
    for option, kinds in {
        "data.source": dict.fromkeys(_ours(Source), ()),
        "data.augmentation": {Augmentation: ()},
        "model.network": {PSPNet: ()},
        "model.loss": dict.fromkeys(_ours(Loss), ()),
        "model.optimizer": {optim.SGD: (), optim.AdamW: ()},
        "model.lr_scheduler": {
            PolyLR: (),
            optim.lr_scheduler.StepLR: ("step_size=3",),
            optim.lr_scheduler.CosineAnnealingLR: ("T_max=9",),
        },
        "trainer.callbacks": {EarlyStopping: ("monitor=val/miou",)},
    }.items():
        for kind, needed in kinds.items():
            choice = f"--{option}={kind.__module__}.{kind.__qualname__}"
            words = (choice, *(f"--{option}.{word}" for word in needed))
            if option == "trainer.callbacks":
                words = (choice.replace("callbacks=", "callbacks+="), *words[1:])
            default = kind in (PSPNet, Augmentation)
            for name, of_option in _arguments(kind):
                yield Option(f"{option}.{name}", of_option, () if default else words)


def _ours(base: type) -> list[type]:
    return [kind for kind in base.__subclasses__() if kind.__module__.startswith("pspnet.")]


def _arguments(kind: type) -> Iterator[tuple[str, Any]]:
    parser = ArgumentParser(exit_on_error=False)
    skip = {"optimizer", "params", "num_classes"}
    parser.add_class_arguments(kind, "x", skip=skip, fail_untyped=False)
    for action in parser._actions:
        if type(action).__name__ == "ActionTypeHint":
            yield action.dest.removeprefix("x."), action._typehint


def tool_options(start: Callable[[list[str]], None], action: str = "") -> list[argparse.Action]:
    """Return the actions of a tool's parser, or of one of its subparsers."""

    def catch(self: errors.Parser, *_: object) -> None:
        found.append(self)
        raise _Caught

    found: list[errors.Parser] = []
    names = ("parse_args", "parse_intermixed_args", "parse_known_args")
    with patch.multiple(errors.Parser, **dict.fromkeys(names, catch)), suppress(_Caught):
        start([])
    parser: argparse.ArgumentParser = found[0]
    if action:
        (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        parser = commands.choices[action]
    return [a for a in parser._actions if not isinstance(a, argparse._HelpAction)]
