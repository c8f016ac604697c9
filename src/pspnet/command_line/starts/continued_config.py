"""The options of a run that continues a training of semseg or mmsegmentation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from pspnet.checkpoints.initial_weights import from_published
from pspnet.command_line.starts.initial_config import beneath_new
from pspnet.errors import UserError
from pspnet.models.published.weights_file import read_weights

if TYPE_CHECKING:
    from pspnet.checkpoints.continued_training import ContinuedTraining

# what a file tells of its network; the rest, such as dropout, is the command line's
NETWORK = (
    *("encoder", "dilation", "bins", "pool", "reduce", "decoder_channels", "level_width"),
    *("auxiliary", "auxiliary_channels", "align_corners"),
)


def parse_continued(
    parser: LightningArgumentParser, config: Namespace, words: list[str]
) -> tuple[ContinuedTraining, Namespace]:
    """Read the training that fit continues, and the options of the run.

    Its network is the file's, whatever the command line says; mean and std of the images are where
    the command line gives none.

    Args:
        parser: of the command, as LightningCLI builds it.
        config: the options of `words`, whose `continue_from` is the file.
        words: command and options.

    Raises:
        UserError: if the file cannot be continued, or weights are given as well.
    """
    from pspnet.checkpoints.continued_training import ContinuedTraining  # timm takes seconds

    path = config.fit.continue_from
    if config.fit.init_from is not None:
        raise UserError(f"continue_from={path}: continues with its weights; leave out init_from")
    continued = ContinuedTraining(read_weights(path))
    found = from_published(continued.path, continued.published)
    under = beneath_new(found, words=words[1:], option="continue_from")
    config = parser.parse_args([words[0], f"--config={json.dumps(under)}", *words[1:]])
    network, options = config.fit.model.network, continued.published.network.options
    kept = {key: options[key] for key in NETWORK if key in network.init_args}
    layer = {"class_path": network.class_path, "init_args": kept}
    return continued, parser.parse_object({"fit": {"model": {"network": layer}}}, config)
