"""Paths of a command that are looked for before its network is built, which takes longest."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import Namespace

from pspnet.command_line.data_alone import list_files
from pspnet.data.datasets.base import Split
from pspnet.data.prediction_images import image_files
from pspnet.errors import UserError
from pspnet.files.paths import local_path
from pspnet.models.encoder_weights import HUB

SPLITS: dict[str, tuple[Split, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": (),  # asks for images where there is no test split
}


def check_paths(config: Namespace, command: str) -> None:
    """Refuse images and folders that the command would refuse after minutes.

    The files of a data set are listed here only if its root is missing, or if weights are to be
    fetched: nothing is fetched for data that are not there.

    Args:
        config: the options of the command.
        command: fit, validate, test or predict.

    Raises:
        UserError: naming the first of them.
    """
    if command == "predict" and config.data.images is not None:
        image_files(local_path(config.data.images, option="data.images"))
        folder = config.output.folder
        if folder is not None and Path(folder).exists() and not Path(folder).is_dir():
            raise UserError(f"output.folder={folder} is a file; name a folder for the predictions")
        return
    root = (config.data.source.get("init_args") or {}).get("root")
    fetches = command == "fit" and config.model.network.init_args.get("encoder_weights") == HUB
    if fetches or (root is not None and not Path(root).exists()):
        list_files(config.data, SPLITS[command])
