"""A checkpoint's options beneath those of a command line, and what a resumed run cannot change."""

from __future__ import annotations

import json
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from pspnet.command_line.parsing.words import given_options
from pspnet.errors import UserError

CLASSES = ("network", "optimizer", "lr_scheduler")  # of `model`: files may set options of others


def parse_over(
    parser: LightningArgumentParser, under: dict[str, Any], words: list[str]
) -> Namespace:
    """Parse the words of a command line over the options of a checkpoint.

    Files that name the class of an optimizer, a schedule or a network, or give options that the
    checkpoint's class lacks, are read without the checkpoint's options of it: `base` sets options
    of SGD, whichever class a later file names. The checkpoint's then stand where the words give
    none.

    Args:
        parser: of the command, as LightningCLI builds it.
        under: options of the checkpoint.
        words: command and options.
    """
    found = [*given_options(words[1:])]
    own = [part for part in CLASSES if _stands_alone(part, under["model"].get(part), found)]
    given = {key for key, _ in found}
    kept = {key: value for key, value in under["model"].items() if key not in own}
    first = json.dumps({**under, "model": kept})
    config = parser.parse_args([words[0], f"--config={first}", *words[1:]])
    for part in own:
        saved = under["model"][part]
        if saved["class_path"] == config[words[0]].model[part].class_path:
            options = saved.get("init_args", {}).items()
            rest = {key: value for key, value in options if f"model.{part}.{key}" not in given}
            layer = {"class_path": saved["class_path"], "init_args": rest}
            config = parser.parse_object({words[0]: {"model": {part: layer}}}, config)
    return config


def _stands_alone(part: str, saved: Any, found: list[tuple[str, Any]]) -> bool:
    """Return whether the words name a class for a part, or options that the saved class lacks."""
    if not (isinstance(saved, dict) and "class_path" in saved):
        return False
    place, known = f"model.{part}", saved.get("init_args", {})
    for key, value in found:
        option = key.removeprefix(f"{place}.").partition(".")[0]
        if (key == place and isinstance(value, str)) or (option != key and option not in known):
            return True
    return False


def check_resume(before: Any, now: Any) -> None:
    """Refuse options of a resumed run that the state of its optimizer would contradict.

    Args:
        before: the options of `model` in the checkpoint.
        now: the same with those of the command line over them.

    Raises:
        UserError: naming the first option that differs.
    """
    same = now.lr_scheduler.class_path == before.lr_scheduler.class_path
    poly = same and now.lr_scheduler.class_path.endswith("PolyLR")  # whose options may change
    schedule = [] if poly else ["lr_scheduler"]
    for part in ("optimizer", "new_layer_factor", "norm_decay", *schedule):
        old, new = _flat(before[part]), _flat(now[part])
        for key in old | new:
            if old.get(key) != new.get(key):
                raise UserError(
                    f"model.{part}{key}={new.get(key)}: a resumed run continues with its "
                    f"optimizer, {old.get(key)}; leave the option out, or start a new run "
                    "without ckpt_path"
                )


def _flat(value: Any) -> dict[str, Any]:
    """Return class path and options of a part of the configuration by name, or a plain value."""
    if not hasattr(value, "class_path"):
        return {"": value}
    return {"": value.class_path, **{f".{k}": v for k, v in vars(value.init_args).items()}}
