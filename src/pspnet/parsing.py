"""Words of the command line in, one line for an error out."""

from __future__ import annotations

import argparse
import ast
import json
import sys

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser

from pspnet.data.datasets.base import Source
from pspnet.errors import user_message
from pspnet.losses import Loss


class Parser(LightningArgumentParser):
    """LightningCLI's parser with errors of one line, without the usage of 60 options first."""

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        line = " ".join(str(message).split())
        for key, base in (("data.source", Source), ("model.loss", Loss)):
            if f'"{key}"' in line and "import path" in line:
                line = f"{key}: give one of {', '.join(c.__name__ for c in base.__subclasses__())}"
        sys.stderr.write(f"error: {line}\n")
        raise SystemExit(2) from ex


def from_python(word: str) -> str:
    """An option as JSON that was printed as a Python literal, as W&B's agent does its values."""
    key, equals, value = word.partition("=")
    if not (key.startswith("--") and value.startswith(("None", "[", "{", "("))):
        return word
    try:
        return key + equals + json.dumps(ast.literal_eval(value))
    except (ValueError, SyntaxError, TypeError):
        return word  # YAML's or JSON's own


def checkpoint_argument(words: list[str]) -> str | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--ckpt_path")
    path: str | None = parser.parse_known_args(words)[0].ckpt_path
    return None if path in (None, "null", "None") else path


def one_line(error: BaseException) -> str | None:
    """The line of a UserError, or of what Lightning's Trainer refuses; None for any other error."""
    if isinstance(error, MisconfigurationException):
        return " ".join(str(error).split())
    return user_message(error)
