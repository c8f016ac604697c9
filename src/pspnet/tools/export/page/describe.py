"""A network's name and a line about it, for the pages that show it."""

from __future__ import annotations

from pspnet.data.datasets.known import KNOWN, known_data
from pspnet.prediction.loading import Trained


def title_of(trained: Trained) -> str:
    """Return the name of the run that a checkpoint is of, or of the data set of its classes."""
    path, run = trained.path, trained.run
    if path is not None and run is not None and path.parent.name == "checkpoints":
        return run.resolve().parent.name or "PSPNet"
    names = trained.task.classes.names
    data = known_data(len(names), names)
    return "PSPNet" if data is None else f"PSPNet, {KNOWN[data].__name__}"


def about_of(trained: Trained, *, protocol: str) -> str:
    """Return the network's encoder, number of classes, and the protocol that the page follows."""
    encoder = trained.task.network.options.get("encoder", "another encoder")
    own = trained.task.protocol.name
    differs = "" if protocol == own else f" (that of its training: {own})"
    classes = len(trained.task.classes)
    return f"PSPNet with {encoder}, {classes} classes, protocol {protocol}{differs}"
