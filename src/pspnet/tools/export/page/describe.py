"""A network's name and a line about it, for the pages that show it."""

from __future__ import annotations

from pspnet.prediction.loading import Trained


def title_of(trained: Trained) -> str:
    """Return the name of the run that a checkpoint is of, or of the file."""
    path, run = trained.path, trained.run
    if path is None or run is None:
        return "PSPNet"
    if path.parent.name == "checkpoints" and run.parent.name:
        return run.resolve().parent.name
    return path.stem


def about_of(trained: Trained) -> str:
    """Return the network's encoder and number of classes."""
    encoder = trained.task.network.options.get("encoder", "another encoder")
    return f"PSPNet with {encoder}, {len(trained.task.classes)} classes"
