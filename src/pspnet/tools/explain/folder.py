"""The folder of a report, known before its network is loaded."""

from __future__ import annotations

import os
from pathlib import Path

from pspnet.errors import UserError
from pspnet.files.yaml_files import read_yaml

CONFIG_SUFFIXES = (".yaml", ".yml")
PAGE = "walk.html"


def report_folder(path: Path) -> Path:
    """Return the folder of a checkpoint's or a configuration's report.

    Raises:
        UserError: if a configuration is no YAML.
    """
    if path.suffix.lower() in CONFIG_SUFFIXES:
        content = read_yaml(path)
        name = content.get("name", path.stem) if isinstance(content, dict) else path.stem
        return Path("logs", "explain", str(name))
    in_a_run = path.parent.name == "checkpoints"
    return path.parent.parent / "explain" if in_a_run else Path("logs", "explain", path.stem)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse a path that exists, unless it may be overwritten.

    Raises:
        UserError: if it exists.
    """
    if os.path.lexists(path) and not overwrite:
        raise UserError(f"{path} exists; add --overwrite, or move it away")
