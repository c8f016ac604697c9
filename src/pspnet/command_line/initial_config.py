"""The options of a new run that starts from given weights."""

from __future__ import annotations

from typing import Any

from pspnet.checkpoints.initial_weights import InitialWeights
from pspnet.command_line.checkpoint_config import REMEDY, network_options, user_vetting
from pspnet.data.datamodule import SegmentationData
from pspnet.errors import UserError, visible
from pspnet.task import Segmentation


def beneath_new(weights: InitialWeights, *, words: list[str]) -> dict[str, Any]:
    """Return the options that initial weights give a new run where the command line does not.

    They are the network's, and the mean and std of its images.

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
        raise UserError(f"init_from={weights.path} asks for {listed}; {REMEDY}")
    return under


def check_start(given: str | None, saved: str | None) -> None:
    """Refuse initial weights for a resumed run, unless the run itself started from them.

    Raises:
        UserError: naming the file.
    """
    if given is not None and given != saved:
        raise UserError(
            f"init_from={given}: a resumed run continues with its own weights; leave init_from out,"
            " or start a new run without ckpt_path and --resume"
        )
