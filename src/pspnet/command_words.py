"""Words of the command line, before any option is parsed.

Configurations have names, `-c base -c voc_pspnet --data=voc`, from any folder: a name stands for
./configs/NAME.yaml, and otherwise for the copy that the package carries. W&B writes Python
literals. A checkpoint's own configuration comes before all options.
This file imports neither torch nor Lightning, so that a wrong name is refused at once.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from difflib import get_close_matches
from pathlib import Path

from pspnet.errors import UserError

PACKAGED = Path(__file__).parent / "configs"  # in a checkout a link to the configs/ at its top
FOLDERS = {"-c": ("", "experiment"), "--config": ("", "experiment"), "--data": ("data",)}
NAME = re.compile(r"[\w./+-]+")  # every other value is an inline configuration


def config_file(name: str, *folders: str) -> Path:
    """Return the file that `name` stands for.

    Args:
        name: a file, or the name of one in ./configs or in the package's configurations, with or
            without its suffix, such as voc_pspnet, data/voc or configs/data/voc.yaml.
        folders: subfolders of the configurations that are searched before their top.

    Raises:
        UserError: for a name that stands for no file, with the nearest name.
    """
    if Path(name).is_file():
        return Path(name)
    relative = name.removeprefix("configs/").removesuffix(".yaml") + ".yaml"
    for configs in (Path("configs"), PACKAGED):
        for folder in (*folders, ""):
            if (configs / folder / relative).is_file():
                return configs / folder / relative
    names = _names(folders or ("",))
    near = get_close_matches(Path(relative).stem, names, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"give a file, or one of {', '.join(names)}"
    raise UserError(f"{name}: no such file or configuration; {remedy}")


def expand_config_names(words: list[str]) -> list[str]:
    """Replace names of configurations by their files in the words of a command line.

    The values of `-c`, `--config` and `--data` are names. Inline configurations and all other
    words pass unchanged.

    Raises:
        UserError: for a name that stands for no file.
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
    inline = not NAME.fullmatch(value) or value == "null"
    return value if inline else str(config_file(value, *FOLDERS[option]))


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


def checkpoint_argument(words: list[str]) -> str | None:
    """Return the value of `--ckpt_path` among the words of a command line."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--ckpt_path")
    path: str | None = parser.parse_known_args(words)[0].ckpt_path
    return None if path in (None, "null", "None") else path
