"""Mean and std of the images, which are those of the encoder's weights unless they are given."""

from __future__ import annotations

from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_only

from pspnet.data.channels import Channels
from pspnet.errors import note
from pspnet.models.encoder_weights import input_statistics, origin


def set_normalization(config: Namespace, *, telling: bool) -> None:
    """Set `data.mean` and `data.std` of RGB images, if neither is given.

    Args:
        config: the options of a command.
        telling: name the pretrained weights, their license, and these values in a note.

    Raises:
        UserError: if the weights are to be fetched, and their hub cannot be reached.
    """
    network = config.model.network.init_args
    encoder, weights = network.get("encoder"), network.get("encoder_weights")
    if encoder is None or not Channels(**vars(config.data.channels)).is_rgb:
        return  # a class of somebody's own may have no encoder by name
    given = config.data.mean is not None or config.data.std is not None
    if not given:
        config.data.mean, config.data.std = input_statistics(encoder, weights)
    if weights is not None and telling:
        whose = "as given" if given else "as these weights expect"
        line = f"encoder_weights: {origin(encoder, weights)}"
        rank_zero_only(note)(
            f"{line}; data.mean {_listed(config.data.mean)} and data.std "
            f"{_listed(config.data.std)}, {whose}"
        )


def _listed(values: tuple[float, ...] | None) -> str:
    return "not given" if values is None else ", ".join(f"{value:.3g}" for value in values)
