"""The options of a new run that starts from given weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_only

from pspnet.checkpoints.initial_weights import InitialWeights, initialize
from pspnet.command_line.parsing.words import raw_options
from pspnet.command_line.starts.checkpoint_config import REMEDY, network_options, user_vetting
from pspnet.data.datamodule import SegmentationData
from pspnet.errors import UserError, note, visible
from pspnet.task import Segmentation

STARTS = ("init_from", "continue_from")  # options of fit


def beneath_new(
    weights: InitialWeights, *, words: list[str], option: str = "init_from"
) -> dict[str, Any]:
    """Return the options that initial weights give a new run where the command line does not.

    They are the network's, and the mean and std of its images.

    Args:
        weights: of a file.
        words: the options of the command line.
        option: the one that names the file.

    Raises:
        UserError: if a value is refused, as in `beneath`.
    """
    look = user_vetting(words)
    saved = {"hyper_parameters": {"network": weights.network}}
    under = {
        "data": look.options(SegmentationData, weights.normalization, "data"),
        "model": look.options(Segmentation, {"network": network_options(saved)}, "model"),
    }
    if look.refused:
        listed = visible(", ".join(look.refused[:5]))
        raise UserError(f"{option}={weights.path} asks for {listed}; {REMEDY}")
    return under


def load(weights: InitialWeights, task: Segmentation) -> None:
    """Load initial weights into a task's network, and say what was taken."""
    for line in initialize(task.network, task.classes.names, weights):
        rank_zero_only(note)(line)


def check_start(config: Namespace, saved: Mapping[str, Any]) -> None:
    """Refuse initial weights for a resumed run, unless the run itself started from them.

    Args:
        config: the options of fit.
        saved: those of the run.

    Raises:
        UserError: naming the file.
    """
    for name in STARTS:
        if config[name] is not None and config[name] != saved.get(name):
            raise UserError(
                f"{name}={config[name]}: a resumed run continues with its own weights; leave {name}"
                " out, or start a new run without ckpt_path and --resume"
            )


def check_command(words: list[str]) -> None:
    """Refuse to start from weights where no training starts.

    Args:
        words: command and options.

    Raises:
        UserError: naming the option.
    """
    if words[:1] != ["fit"] and (given := raw_options(words, *STARTS)):
        name = next(iter(given))
        raise UserError(f"{name}: fit alone starts from weights; give --ckpt_path=FILE.ckpt")
