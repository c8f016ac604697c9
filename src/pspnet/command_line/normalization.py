"""Mean and std of the images, which are those of the encoder's weights unless they are given."""

from __future__ import annotations

from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_only

from pspnet.data.channels import Channels
from pspnet.errors import note
from pspnet.models.encoder_weights import input_statistics, origin


def set_normalization(config: Namespace, *, telling: bool) -> None:
    """Set `data.mean` and `data.std` of RGB images, where they are not given.

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
    missing = [name for name in ("mean", "std") if config.data[name] is None]
    if missing:
        mean, std = input_statistics(encoder, weights)
        expected = {"mean": mean, "std": std}
        for name in missing:
            config.data[name] = expected[name]
    if weights is not None and telling:
        only = f"data.{missing[0]} " if len(missing) == 1 else ""
        whose = f"{only}as these weights expect" if missing else "as given"
        line = f"encoder_weights: {origin(encoder, weights)}"
        rank_zero_only(note)(
            f"{line}; data.mean {_listed(config.data.mean)} and data.std "
            f"{_listed(config.data.std)}, {whose}"
        )


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)
