"""The data module that a command line describes, without its network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace
from jsonargparse._actions import ActionConfigFile
from lightning.pytorch.utilities import rank_zero_only

from pspnet.command_line.parsing.parser import Parser, check_names
from pspnet.command_line.parsing.words import INLINE, expand_config_names, from_python
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.base import Split
from pspnet.data.datasets.recognize import recognize
from pspnet.errors import visible
from pspnet.files.paths import local_path
from pspnet.files.yaml_files import read_yaml


def load(root: str | None, words: list[str]) -> tuple[SegmentationData, str]:
    """Return the data of a folder, or of `fit` with the same words, and a name for them.

    Args:
        root: a data set whose layout is recognized; None takes the words.
        words: options of `fit`; those that concern network and training are passed over.

    Raises:
        SystemExit: with code 2 and one line for wrong options.
        UserError: for wrong values, or if there is no such folder.
    """
    if root is not None:
        place = local_path(root, option="root")
        data, name = SegmentationData(recognize(place)), place.resolve().name
    else:
        data, name = _from_words([from_python(word) for word in expand_config_names(words)])
    return data, visible(name or type(data.source).__name__)


def _from_words(words: list[str]) -> tuple[SegmentationData, str]:
    check_names(words)
    parser = Parser(exit_on_error=True, allow_abbrev=False)
    parser.add_argument("-c", "--config", action=ActionConfigFile)
    parser.add_argument("--name", type=str, default="")
    parser.add_lightning_class_args(SegmentationData, "data")
    config = parser.parse_args(_without_others(words))
    return parser.instantiate(config).data, config.name


@rank_zero_only
def list_files(data: Namespace, splits: Sequence[Split]) -> None:
    """Make the files of splits that can be made, and list all; in one process.

    Args:
        data: the options of data of a command.
        splits: the splits that it reads; none makes and lists nothing.

    Raises:
        UserError: if there are none.
    """
    parser = Parser()
    parser.add_lightning_class_args(SegmentationData, "data")
    module: SegmentationData = parser.instantiate(Namespace(data=data)).data  # type: ignore[no-untyped-call]
    if splits:
        module.source.prepare()
    for split in splits:
        module.samples(split)


def _without_others(words: list[str]) -> list[str]:
    """Replace configuration files by their options of data."""
    replaced, option = [], False
    for word in words:
        key, equals, value = word.partition("=")
        if option:
            replaced.append(_data_of(word))
        elif equals and key in ("-c", "--config"):
            replaced += ["--config", _data_of(value)]
        else:
            replaced.append(word)
        option = not option and word in ("-c", "--config")
    return replaced


def _data_of(value: str) -> str:
    inline = INLINE.search(value) and not Path(value).is_file()
    content = json.loads(value) if inline else read_yaml(Path(value)) or {}
    if isinstance(content.get("data"), str):  # a file beside it
        content["data"] = read_yaml(Path(value).parent / content["data"])
    kept = {key: content[key] for key in ("data", "name") if key in content}
    return json.dumps(kept)
