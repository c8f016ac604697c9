"""What is explained: a trained network with its data, or the one that a configuration describes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

import pspnet.data  # noqa: F401  (the sources, so that their names are found)
from pspnet.checkpoints import read_checkpoint
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import Classes
from pspnet.errors import UserError
from pspnet.models.pspnet import PSPNet
from pspnet.task import Segmentation

CONFIGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Subject:
    """A network and what is known of it.

    Args:
        path: the checkpoint or configuration.
        name: of the run.
        network: in evaluation mode.
        classes: the data's.
        data: what it was, or would be, trained on; nothing is read yet.
        absent: what a class absent from truth and prediction does to a mean.
        trained: whether the weights are a checkpoint's; else they are random.
        folder: where the report belongs.
    """

    path: Path
    name: str
    network: PSPNet
    classes: Classes
    data: SegmentationData
    absent: Any
    trained: bool
    folder: Path

    @property
    def log(self) -> Path:
        """The metrics of the run that a checkpoint is of."""
        return self.folder.parent / "metrics.csv"


def load_subject(path: Path, *, root: Path | None = None) -> Subject:
    """Reads a checkpoint, or a run's or an experiment's YAML.

    Args:
        path: the file; by its suffix, .yaml or .yml, it is a configuration.
        root: of the data set on this machine; None is as the file says.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is neither, or an option in it is wrong.
    """
    if path.suffix.lower() in CONFIGS:
        return _of_config(path, root)
    checkpoint = read_checkpoint(path)
    task = Segmentation.load_from_checkpoint(path, map_location="cpu").eval()
    config = checkpoint["config"]
    name = str(config.get("name", path.stem))
    in_a_run = path.parent.name == "checkpoints"
    folder = path.parent.parent / "explain" if in_a_run else Path("logs", "explain", path.stem)
    data = _parse({"data": config["data"]}, root=root, path=path).data
    if data.classes.names != task.classes.names:
        raise UserError(f"{path}: trained on other classes than the data has; give its own --root")
    return Subject(path, name, task.network, task.classes, data, task.absent, True, folder)


def _of_config(path: Path, root: Path | None) -> Subject:
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a .ckpt or a .yaml of a run")
    config = _read(path)
    if isinstance(config.get("data"), str):  # a file beside it, as jsonargparse takes it
        config["data"] = _read(path.parent / config["data"])
    model = config.get("model") or {}
    network = {**(model.get("network") or {}), "encoder_weights": None}
    for key, value in (("data", config.get("data")), ("model", config.get("model"))):
        if not isinstance(value, dict):
            raise UserError(f"{path}: lacks {key!r}; give a .yaml of a run or an experiment")
    parsed = _parse({"data": config["data"], "network": network}, root=root, path=path)
    name = str(config.get("name", path.stem))
    folder = Path("logs", "explain", name)
    classes = parsed.data.classes
    return Subject(path, name, parsed.network.eval(), classes, parsed.data, "skip", False, folder)


def _parse(options: dict[str, Any], *, root: Path | None, path: Path) -> Any:
    """The instances that the options of `data`, and of `network` where it is given, describe."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(SegmentationData, "data")
    if "network" in options:
        parser.add_class_arguments(PSPNet, "network")
        parser.link_arguments(
            "data",
            "network.num_classes",
            compute_fn=lambda data: len(data.classes),
            apply_on="instantiate",
        )
    if root is not None:
        options = {**options, "data": _with_root(options["data"], root)}
    try:
        return parser.instantiate(parser.parse_object(options))
    except ArgumentError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from error


def _with_root(data: dict[str, Any], root: Path) -> dict[str, Any]:
    source = data["source"]
    given: dict[str, Any] = {"class_path": source} if isinstance(source, str) else dict(source)
    return {
        **data,
        "source": {**given, "init_args": {**given.get("init_args", {}), "root": str(root)}},
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no options; give a .yaml of a run or an experiment")
    return content
