"""A trained network with its classes, protocol and normalization, from any file that holds one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pspnet.checkpoints.reading import read_checkpoint
from pspnet.data.channels import RGB, Channels
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.known import KNOWN, known_data, plain_classes
from pspnet.errors import UserError
from pspnet.evaluation.protocols import ProtocolOverrides
from pspnet.models.encoder_weights import input_statistics
from pspnet.models.options import build
from pspnet.models.published.load import Color, PublishedNetwork, from_weights
from pspnet.models.published.weights_file import WeightsFile, read_weights
from pspnet.task import Segmentation

TAKEN = ("absent", "protocol", "temperature", "crop_size", "base_size")


@dataclass(frozen=True)
class Trained:
    """A trained task, and how its images are normalized.

    Args:
        task: the network with its classes and protocol, in evaluation mode.
        mean: per channel, 0 to 1, subtracted.
        std: per channel, the divisor after that.
        path: the file; None for one from Python.
        channels: of the images.
    """

    task: Segmentation
    mean: Color
    std: Color
    path: Path | None = None
    channels: Channels = RGB

    def require_rgb(self, what: str) -> None:
        """Refuse other images than RGB of 8 bits.

        Raises:
            UserError: saying that `what` takes no others.
        """
        if not self.channels.is_rgb:
            names = ", ".join(self.channels.names)
            raise UserError(
                f"{what} takes RGB of 8 bits alone, and the network {names}; use predict, or "
                "Predictor in Python"
            )

    @property
    def run(self) -> Path | None:
        """The folder of the run that a checkpoint is of; of a saved folder it is that one."""
        if self.path is None:
            return None
        folder = self.path.parent
        return folder.parent if folder.name == "checkpoints" else folder


def load(path: str | Path, *, trust: bool = False) -> Trained:
    """Read a checkpoint of ours, a published one, or a folder as the Hub holds it.

    Args:
        path: the file, or a folder with one file of weights; reading it runs no code.
        trust: import the network's class even if it is neither the package's nor imported.

    Raises:
        UserError: if the file is missing or damaged, holds another network, or names a class that
            is not trusted.
    """
    weights = read_weights(path)
    saved = weights.metadata.get("hyper_parameters")
    if isinstance(saved, dict) and "class_path" in (saved.get("network") or {}):
        return _of_another_class(weights.path, trust=trust)
    published = from_weights(weights)
    own = published.format == "pspnet"
    task = _of_a_run(published, weights) if own else _of_others(published)
    channels = _channels(weights.metadata.get("config"), task, weights.path) if own else RGB
    return Trained(task.eval(), published.mean, published.std, weights.path, channels)


def _of_another_class(path: Path, *, trust: bool) -> Trained:
    config = read_checkpoint(path)["config"]
    data = config["data"]
    task = Segmentation.load_from_checkpoint(path, map_location="cpu", trust=trust)
    mean, std = (data.get(key) for key in ("mean", "std"))
    if mean is None or std is None:
        mean, std = input_statistics(str(task.network.options.get("encoder")))
    channels = _channels(config, task, path)
    return Trained(task.eval(), tuple(map(float, mean)), tuple(map(float, std)), path, channels)


def _channels(config: Any, task: Segmentation, path: Path) -> Channels:
    """Return the channels of a training's images; RGB of a file that does not name them."""
    given = ((config or {}).get("data") or {}).get("channels") or {}
    try:
        channels = build(Channels, given)
    except (UserError, TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from error
    if not channels.is_rgb and len(channels) != task.network.in_channels:
        raise UserError(
            f"{path}: names {len(channels)} channels, and its network takes "
            f"{task.network.in_channels}; give the checkpoint as its training wrote it"
        )
    return channels


def _of_a_run(published: PublishedNetwork, weights: WeightsFile) -> Segmentation:
    saved: dict[str, Any] = weights.metadata["hyper_parameters"]
    options = {key: saved[key] for key in TAKEN if saved.get(key) is not None}
    if "crop_size" in options:
        options["crop_size"] = tuple(options["crop_size"])
    try:
        overrides = build(ProtocolOverrides, saved.get("inference") or {})
        classes = Classes.from_plain(saved["classes"])
        return Segmentation(published.network, classes, inference=overrides, **options)
    except (UserError, TypeError, ValueError) as error:
        raise UserError(f"{weights.path}: {error}") from error


def _of_others(published: PublishedNetwork) -> Segmentation:
    """Give a published network the classes of its data set; plain names where none has as many."""
    names, count = published.class_names, published.network.num_classes
    known = known_data(count, names)
    return Segmentation(
        published.network,
        plain_classes(names or count) if known is None else KNOWN[known]().classes,
        crop_size=published.crop_size,
        base_size=None if known is None else KNOWN[known]().base_size,
    )
