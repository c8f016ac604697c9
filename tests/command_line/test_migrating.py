"""Every option that docs/MIGRATING.md names is one."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pspnet import PSPNet
from pspnet.cli import main
from pspnet.data import FileLists, Folder
from pspnet.inference.protocols import ProtocolOverrides
from pspnet.lr_schedules import PolyLR

ROOT = Path(__file__).parents[2]
PARTS = {  # whose options a printed configuration may leave out
    "model.inference": ProtocolOverrides,
    "model.lr_scheduler": PolyLR,
    "model.network": PSPNet,
    "data.source": Folder,
}


def flat(config: Any, place: str = "") -> set[str]:
    """Names of a printed configuration, as they are given on a command line."""
    if not isinstance(config, dict):
        return {place}
    names = {place}
    for key, value in config.items():
        same = key in ("class_path", "init_args")
        names |= flat(value, place if same else f"{place}.{key}".lstrip("."))
    return names


@pytest.fixture(scope="module")
def known() -> set[str]:
    names = set()
    for part, kind in (*PARTS.items(), ("data.source", FileLists)):
        names |= {f"{part}.{name}" for name in inspect.signature(kind).parameters}
    return names


def test_options_that_the_page_names_exist(known, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["fit", f"-c={ROOT / 'configs/base.yaml'}", "--print_config"])
    assert stopped.value.code == 0
    names = known | flat(yaml.safe_load(capsys.readouterr().out))
    page = (ROOT / "docs" / "MIGRATING.md").read_text("utf-8")
    last, found = "", set()
    for option in re.findall(r"`(?:--)?((?:data|model|trainer)?\.[a-z]\w*(?:\.\w+)*)", page):
        # `.momentum` behind `model.optimizer.lr` is beside it
        option = f"{last.rpartition('.')[0]}{option}" if option.startswith(".") else option
        last = option
        found.add(option)
    assert len(found) > 50
    assert found - names == {"data.source.reduce_zero_label"}  # ADE20K's alone
