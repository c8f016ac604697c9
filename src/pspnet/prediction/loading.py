"""A trained network with its classes, protocol and normalization, from any file that holds one."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pspnet.checkpoints.reading import read_checkpoint
from pspnet.data.channels import RGB, Channels
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.known import KNOWN, known_data, plain_classes
from pspnet.data.image_io import LARGEST_SIDE
from pspnet.errors import UserError
from pspnet.evaluation.metrics import Absent
from pspnet.inference.protocols import ProtocolName, ProtocolOverrides
from pspnet.models.encoder_weights import input_statistics
from pspnet.models.options import build
from pspnet.models.published.load import Color, PublishedNetwork, from_weights
from pspnet.models.published.weights_file import WeightsFile, read_weights
from pspnet.task import Segmentation


@dataclass(frozen=True)
class Scoring:
    """The options of a task that change what it predicts and scores, see `Segmentation`.

    Raises:
        UserError: if a size is out of range.
    """

    absent: Absent = "skip"
    protocol: ProtocolName = "whole"
    inference: ProtocolOverrides = ProtocolOverrides()  # noqa: RUF009  (frozen)
    temperature: float = 1.0
    crop_size: tuple[int, int] | None = None
    base_size: int | None = None

    def __post_init__(self) -> None:
        sides = [*(self.crop_size or ()), 1 if self.base_size is None else self.base_size]
        if not all(1 <= side <= LARGEST_SIDE for side in sides):
            raise UserError(
                f"crop_size={self.crop_size}, base_size={self.base_size}: give pixels, 1 to "
                f"{LARGEST_SIDE}"
            )


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

    def __post_init__(self) -> None:
        count = len(self.channels)
        fits = len(self.mean) == len(self.std) == count
        if not (
            fits and all(map(math.isfinite, self.mean)) and all(0 < s < math.inf for s in self.std)
        ):
            where = "" if self.path is None else f"{self.path}: "
            raise UserError(
                f"{where}mean={[*self.mean]}, std={[*self.std]}: give {count} shares of full "
                "intensity for each, of std above 0"
            )

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
    network = saved.get("network") if isinstance(saved, dict) else None
    if isinstance(network, dict) and "class_path" in network:
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
    usual = input_statistics(str(task.network.options.get("encoder")))
    given = (data.get(key) for key in ("mean", "std"))
    mean, std = (own if it is None else it for it, own in zip(given, usual, strict=True))
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
    names = [option.name for option in fields(Scoring)]
    try:
        scoring = build(Scoring, {key: saved[key] for key in names if saved.get(key) is not None})
        options = {key: getattr(scoring, key) for key in names}
        return Segmentation(published.network, Classes.from_plain(saved["classes"]), **options)
    except (UserError, TypeError, ValueError) as error:
        raise UserError(f"{weights.path}: {error}") from error


def _of_others(published: PublishedNetwork) -> Segmentation:
    """Give a published network the classes of its data set; plain names where none has as many."""
    names, count = published.class_names, published.network.num_classes
    known = known_data(count, names)
    return Segmentation(
        published.network,
        plain_classes(names or count, published.class_colors)
        if known is None
        else KNOWN[known]().classes,
        crop_size=published.crop_size,
        base_size=None if known is None else KNOWN[known]().base_size,
    )
