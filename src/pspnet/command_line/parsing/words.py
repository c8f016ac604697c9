"""Words of the command line, before any option is parsed.

Configurations have names, `-c base -c voc_pspnet --data=voc`, from any folder: a name stands for
NAME.yaml in ./configs or a subfolder (experiment/ for `-c`, data/ for `--data`), and otherwise for
the copy that the package carries. W&B writes Python literals. A checkpoint's own configuration
comes before all options.
This file imports neither torch nor Lightning, so that a wrong name is refused at once.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pspnet.errors import UserError
from pspnet.files.paths import is_file
from pspnet.files.spelling import nearest
from pspnet.files.yaml_files import read_yaml

PACKAGED = Path(__file__).parents[2] / "configs"  # in a checkout a link to the configs/ at its top
FOLDERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("-c", "--config"), ("", "experiment")),
    "--data": ("data",),
    **dict.fromkeys(("--model", "--trainer", "--output"), ()),
}
INLINE = re.compile(r"[:{}\[\]\n]|null$")  # every other value is a name


def config_file(name: str, *folders: str) -> Path:
    """Return the file that `name` stands for.

    Args:
        name: a file, or the name of one in ./configs or in the package's configurations, with or
            without its suffix, such as voc_pspnet, data/voc or configs/data/voc.yaml.
        folders: subfolders of the configurations that are searched before their top.

    Raises:
        UserError: for a name that stands for no file, with the nearest name.
    """
    if is_file(name):
        return Path(name)
    relative = name.removeprefix("configs/").removesuffix(".yaml") + ".yaml"
    for configs in (Path("configs"), PACKAGED):
        for folder in (*folders, ""):
            if is_file(configs / folder / relative):
                return configs / folder / relative
    names = _names(folders or ("",))
    stem = Path(relative).stem
    longer = [it for it in names if it.startswith(stem)]  # voc_pspnet for voc
    if near := nearest(stem, names) or next(iter(longer), None):
        remedy = f"did you mean {near}?"
    else:
        closest = nearest(stem, names, at_least=0)
        remedy = f"give a file, or one of {', '.join(names)}; the nearest is {closest}"
    raise UserError(f"{name}: no such file or configuration; {remedy}")


def expand_config_names(words: list[str]) -> list[str]:
    """Replace names of configurations by their files in the words of a command line.

    The values of `-c`, `--config`, `--data` and the other groups of options are names. Inline
    configurations and all other words pass unchanged.

    Raises:
        UserError: for a name that stands for no file, or a file that is no configuration.
    """
    expanded, option = [], ""
    for word in words:
        key, equals, value = word.partition("=")
        if option:
            expanded.append(_expand(word, option))
        elif equals and key in FOLDERS:
            expanded.append(f"{key}={_expand(value, key)}")
        else:
            expanded.append(word)
        option = word if not option and word in FOLDERS else ""
    return expanded


def _expand(value: str, option: str) -> str:
    if INLINE.search(value) and not is_file(value):
        return value
    file = config_file(value, *FOLDERS[option])
    check_configuration(file)
    return str(file)


def check_configuration(file: Path) -> None:
    """Refuse a configuration, or one that it names for a group, that is no mapping of YAML.

    Raises:
        UserError: naming the file.
    """
    content = read_yaml(file)
    if content is not None and not isinstance(content, dict):
        raise UserError(f"{file} is no configuration; write options as `name: value`")
    for group in ("data", "model", "trainer", "output"):
        named = (content or {}).get(group)
        if isinstance(named, str) and not INLINE.search(named):
            check_configuration(file.parent / named)


def _names(folders: tuple[str, ...]) -> list[str]:
    places = [configs / folder for configs in (Path("configs"), PACKAGED) for folder in folders]
    return sorted({file.stem for place in places for file in place.glob("*.yaml")})


def from_python(word: str) -> str:
    """Return an option as JSON that was printed as a Python literal, as W&B's agent does."""
    key, equals, value = word.partition("=")
    if not (key.startswith("--") and value.startswith(("None", "[", "{", "("))):
        return word
    try:
        return key + equals + json.dumps(ast.literal_eval(value))
    except (ValueError, SyntaxError, TypeError):
        return word  # YAML's or JSON's own


def data_words(
    parser: argparse.ArgumentParser, words: list[str]
) -> tuple[argparse.Namespace, str | None, list[str]]:
    """Return a tool's own options, and its data: a folder, or the words of configurations.

    Raises:
        SystemExit: with code 2 and one line for wrong options, both or neither of the two.
    """
    root = None if not words or words[0].startswith("-") else words[0]
    options, others = parser.parse_known_args(words if root is None else words[1:])
    if root is None and not others:
        parser.error("give the folder of a data set, or -c EXPERIMENT with its data")
    for word in others:
        key = word.partition("=")[0]
        if key.startswith("--") and "." not in key and key not in ("--config", "--data", "--name"):
            parser.error(f"unrecognized arguments: {word}")
    if root is not None and others:
        parser.error(f"{others[0]}: with a folder no options of data are taken; use -c")
    return options, root, others


def raw_options(words: list[str], *names: str) -> dict[str, str]:
    """Return options that are given among the words of a command line, as they are written."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in names:
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS)
    return vars(parser.parse_known_args(words)[0])


def checkpoint_argument(words: list[str]) -> str | None:
    """Return the value of `--ckpt_path` among the words of a command line."""
    path = raw_options(words, "ckpt_path").get("ckpt_path")
    return None if path in (None, "null", "None") else path


def given_options(words: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the options that the user gave by name, with their values; of files, too."""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if not word.startswith("-"):
            continue
        key, equals, value = word.partition("=")
        name = key.lstrip("-")
        value = value if equals else following
        is_file = value.endswith((".yaml", ".yml", ".json")) and Path(value).is_file()
        try:
            content = yaml.safe_load(Path(value).read_text("utf-8") if is_file else value)
        except (yaml.YAMLError, OSError, ValueError):
            content = value  # the parser says what is wrong with it
        yield from _flatten(content, "" if name in ("c", "config") else name)


def _flatten(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield place, None
        for key, item in value.items():
            same = key in ("class_path", "init_args", "dict_kwargs")
            yield from _flatten(item, place if same else f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            yield from _flatten(item, place)
    else:
        yield place, value
