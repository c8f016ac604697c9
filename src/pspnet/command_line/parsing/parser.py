"""The parser of fit, validate, test and predict: what it refuses, it refuses in one line."""

from __future__ import annotations

import sys
from typing import Any

import torch
from lightning.pytorch.cli import LightningArgumentParser

from pspnet.command_line.parsing.help import arrange, shortened_lists
from pspnet.command_line.parsing.messages import NAMED, in_plain_words, own_classes, remedy
from pspnet.command_line.parsing.option_types import allows_none
from pspnet.errors import UserError, raised_in, shortened

# raised on values and files that are no configuration: other encodings, too deep, too many digits
UNREADABLE = (UnicodeError, RecursionError, OverflowError, MemoryError, ValueError, OSError)


class Parser(LightningArgumentParser):
    """LightningCLI's parser with errors of one line, without the usage of 60 options first.

    Files are read for --config, --data, --model, --trainer and --output alone. Lightning's parser
    would read one for every option of a class, that of `--trainer.accelerator=cpu` too.
    """

    def add_class_arguments(self, *args: Any, **options: Any) -> Any:
        return super().add_class_arguments(*args, **{**options, "sub_configs": False})

    def parse_args(self, *args: Any, **options: Any) -> Any:
        try:
            return super().parse_args(*args, **options)
        except UNREADABLE as error:  # jsonargparse passes them, of a file or of a value
            if raised_in(error).partition(".")[0] not in ("jsonargparse", "yaml", "codecs"):
                raise
            self.error(str(error) or type(error).__name__, error)

    def validate(self, namespace: Any, *args: Any, **options: Any) -> None:
        """Refuse null as well, which jsonargparse takes for "not given", where it is no value."""
        super().validate(namespace, *args, **options)
        for action in self._actions:
            kind = getattr(action, "_typehint", None)
            null = action.default is not None and namespace.get(action.dest, "") is None
            if null and not allows_none(kind):
                raise TypeError(f"{action.dest}=null: give a value, or leave the option out")

    def format_help(self, *args: Any, **options: Any) -> str:
        examples = arrange(self)
        return shortened_lists(super().format_help(*args, **options)) + examples

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        message = in_plain_words(str(message), self)
        if not self.exit_on_error:  # a class's own options: the outer parser says whose they are
            super().error(message, ex)
        sys.stderr.write(f"error: {shortened(message)}\n")
        raise SystemExit(2) from ex


def check_names(words: list[str]) -> None:
    """Refuse a data set or loss by a name that no class has; jsonargparse would not list them."""
    for key in NAMED:
        for word in words:
            name = word.removeprefix(f"--{key}=")
            own = name != word and name.isidentifier() and not hasattr(torch.nn, name)
            if own and name != "null" and name not in own_classes(NAMED[key]):
                raise UserError(f"{key}={name}: give {remedy(key)}")
