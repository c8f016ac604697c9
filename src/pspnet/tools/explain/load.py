"""The network and data to explain, from a checkpoint or a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

import pspnet.data  # noqa: F401  (the sources, so that their names are found)
from pspnet.checkpoints.reading import read_checkpoint
from pspnet.checkpoints.trust import Vetting
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import Classes
from pspnet.errors import UserError, visible
from pspnet.evaluation.metrics import Absent
from pspnet.files.paths import is_file
from pspnet.files.yaml_files import read_yaml
from pspnet.inference.protocols import Protocol
from pspnet.models.pspnet import PSPNet
from pspnet.models.pyramid_pooling import PyramidPooling
from pspnet.task import Segmentation
from pspnet.tools.explain.folder import CONFIG_SUFFIXES, report_folder
from pspnet.tools.explain.pyramid_parts import ONE_PASS
from pspnet.tools.explain.variants import describe

REMEDY = "give --root=FOLDER, where the data is, or --trust if you know where the file comes from"
# the others concern training
DATA_OPTIONS = ("source", "crop_size", "mean", "std", "cache", "channels")
SCORING_OPTIONS = ("absent", "protocol", "inference")


@dataclass(frozen=True)
class Run:
    """A network with what its report needs to know.

    Args:
        path: the checkpoint or configuration.
        name: of the run.
        network: in evaluation mode.
        data: the data that it was, or would be, trained on; nothing is read yet.
        protocol: how the run evaluates images.
        absent: how the run counts classes absent from target and prediction in a mean.
        trained: the weights are a checkpoint's; otherwise they are random.
        folder: folder of the report.
    """

    path: Path
    name: str
    network: PSPNet
    data: SegmentationData
    protocol: Protocol
    absent: Absent
    trained: bool
    folder: Path

    @property
    def classes(self) -> Classes:
        """Names, colors and groups of the data's classes."""
        return self.data.classes

    @property
    def about(self) -> str:
        """The network's encoder, layout and pyramid, and the number of classes."""
        network, pyramid = self.network, self.network.pyramid
        context = f"{type(pyramid).__name__} in place of the pyramid"
        if isinstance(pyramid, PyramidPooling):
            bins = ", ".join(str(side) for side in pyramid.bins) or "none"
            reduce = "with" if network.options.get("reduce", True) else "without"
            context = f"bins {bins}, {pyramid.pool} pooling, {reduce} reduction"
        return (
            f"{type(network).__name__} on {network.options.get('encoder', 'another encoder')},"
            f" {describe(network.dilation)}; {context}; {len(self.classes)} classes"
        )

    @property
    def source(self) -> str:
        """The network and its file, as the figures name them."""
        encoder = self.network.options.get("encoder", "another encoder")
        file = Path(*self.path.parts[-4:]).as_posix()
        weights = "" if self.trained else ", random weights"
        return f"{self.name}: {type(self.network).__name__} on {encoder}, {file}{weights}"

    @property
    def log(self) -> Path:
        """The metrics of a checkpoint's run."""
        return self.folder.parent / "metrics.csv"


def load(path: Path, *, root: Path | None = None, trust: bool = False) -> Run:
    """Read a checkpoint, or a run's or an experiment's YAML.

    Args:
        path: the file; with the suffix .yaml or .yml it is a configuration.
        root: folder of the data set on this machine; None is as the file says.
        trust: import the classes that a checkpoint names; a configuration's are always imported.

    Raises:
        UserError: if there is no such file, it is neither, or an option in it is wrong.
    """
    config_given = path.suffix.lower() in CONFIG_SUFFIXES
    run = _load_config(path, root) if config_given else _load_checkpoint(path, root, trust)
    if not run.data.channels.is_rgb:
        raise UserError(f"{path}: explain shows RGB of 8 bits alone, and its channels are others")
    return run


def _load_checkpoint(path: Path, root: Path | None, trust: bool) -> Run:
    checkpoint = read_checkpoint(path)
    config, saved = checkpoint["config"], checkpoint["hyper_parameters"]
    if "source" not in config["data"]:  # of a training from Python
        if root is None:
            raise UserError(f"{path}: names no data set; give the --root of a folder with classes")
        config["data"]["source"] = {"class_path": "pspnet.data.Folder"}
    model = config.get("model") or {}
    # older checkpoints hold these in the run's configuration only
    scoring = {key: model[key] for key in SCORING_OPTIONS if key in model and key not in saved}
    given = frozenset({"data.cache", *([] if root is None else ["data.source.root"])})
    look = Vetting(None if trust else frozenset(), given)
    scoring = look.options(Segmentation, scoring, "model")
    options = look.options(SegmentationData, _data_options(config["data"], None), "data")
    if look.refused:
        raise UserError(f"{path} asks for {', '.join(look.refused[:5])}; {REMEDY}")
    task = Segmentation.load_from_checkpoint(path, map_location="cpu", trust=trust, **scoring)
    data = _parse({"data": _data_options(options, root)}, path=path).data
    if data.classes.names != task.classes.names:
        raise UserError(f"{path}: trained on other classes than the data has; give its own --root")
    return Run(
        path=path,
        name=visible(str(config.get("name", path.stem))),
        network=task.eval().network,
        data=data,
        protocol=task.protocol,
        absent=task.absent,
        trained=True,
        folder=report_folder(path),
    )


def _load_config(path: Path, root: Path | None) -> Run:
    config = _read(path)
    if isinstance(config.get("data"), str):  # a file beside it, as jsonargparse takes it
        config["data"] = _read(path.parent / config["data"])
    for key in ("data", "model"):
        if not isinstance(config.get(key), dict):
            raise UserError(f"{path}: lacks {key!r}; give a .yaml of a run or an experiment")
    network = config["model"].get("network") or {}
    if "class_path" not in network:
        network = {"class_path": "pspnet.PSPNet", "init_args": network}
    network = {**network, "init_args": {**network.get("init_args", {}), "encoder_weights": None}}
    options = {"data": _data_options(config["data"], root), "network": network}
    parsed = _parse(options, path=path)
    return Run(
        path=path,
        name=str(config.get("name", path.stem)),
        network=parsed.network.eval(),
        data=parsed.data,
        protocol=ONE_PASS,
        absent="skip",
        trained=False,
        folder=report_folder(path),
    )


def _parse(options: dict[str, Any], *, path: Path) -> Any:
    """Return the instances that the options of `data`, and of `network` if given, describe."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(SegmentationData, "data")
    if "network" in options:
        parser.add_subclass_arguments(PSPNet, "network")
        parser.link_arguments(
            "data",
            "network.init_args.num_classes",
            compute_fn=lambda data: len(data.classes),
            apply_on="instantiate",
        )
    try:
        return parser.instantiate(parser.parse_object(options))
    except ArgumentError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from error


def _data_options(data: dict[str, Any], root: Path | None) -> dict[str, Any]:
    options = {key: data[key] for key in DATA_OPTIONS if key in data}
    if root is not None and "source" in options:
        source = options["source"]
        given: dict[str, Any] = {"class_path": source} if isinstance(source, str) else dict(source)
        arguments = {**given.get("init_args", {}), "root": str(root)}
        options["source"] = {**given, "init_args": arguments}
    return options


def _read(path: Path) -> dict[str, Any]:
    if not is_file(path):
        raise UserError(f"{path}: no such file; give a .ckpt or a .yaml of a run")
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no options; give a .yaml of a run or an experiment")
    return content
