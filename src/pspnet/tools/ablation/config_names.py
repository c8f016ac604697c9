"""Fallback for `pspnet.config_files.config_file`, to be deleted once that file exists."""

from pathlib import Path

from pspnet.errors import UserError


def config_file(name: str, folder: str = "") -> Path:
    """Return the file NAME, or configs/FOLDER/NAME.yaml."""
    named = Path("configs") / folder / f"{name}.yaml"
    path = Path(name) if Path(name).is_file() else named
    if not path.is_file():
        raise UserError(f"{name}: no such file or configuration")
    return path
