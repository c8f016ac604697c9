"""The pyramid's bins of a checkpoint, to be switched off as `explain` ablates them.

A bin that is off counts as its mean over images of the run's data, in each channel and at every
place, so that the decoder sees an average image there; as 0 where the data is not at hand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pspnet.data.scenes.dataset import Scenes
from pspnet.errors import UserError, note
from pspnet.tools.explain.activation_share import collect_statistics
from pspnet.tools.explain.load import load
from pspnet.tools.explain.pyramid_parts import ablated, remember_features, why_no_parts
from pspnet.tools.explain.samples import Samples

if TYPE_CHECKING:
    from torch import Tensor

    from pspnet.prediction.loading import Trained
    from pspnet.prediction.prediction import Prediction
    from pspnet.prediction.predictor import Predictor

IMAGES = 16  # of the validation split, over which the means are taken
EXAMPLES = 3


@dataclass(frozen=True)
class Bins:
    """The bins that can be switched, and what stands in for them.

    Args:
        sides: of the grids; none if the network's pyramid is of another kind.
        means: by part, see `pyramid_parts.ablated`; None stands for 0.
        examples: images of the validation split to show.
    """

    sides: tuple[int, ...] = ()
    means: Mapping[str, Tensor] | None = None
    examples: tuple[Path, ...] = ()

    @property
    def when_off(self) -> str:
        """Say what stands in for a bin that is off."""
        if self.means is None:
            return "A bin that is off counts as 0."
        return "A bin that is off counts as its mean over validation images."


def read_bins(trained: Trained, *, root: Path | None = None, trust: bool = False) -> Bins:
    """Return the bins of a network, with means over its run's data if that is found.

    Args:
        trained: the network.
        root: folder of the data set, if it moved.
        trust: as in `load`.

    Raises:
        UserError: if there is no data at `root`; without `root` a note tells.
    """
    network = trained.task.network
    if (reason := why_no_parts(network)) is not None:
        note(f"no bins to switch off: {reason}")
        return Bins()
    sides = tuple(network.pyramid.bins)
    try:
        samples = _samples(trained.path, root=root, trust=trust)
    except UserError as error:
        if root is not None:
            raise
        note(f"bins that are off count as 0, as their means are unknown: {error}")
        return Bins(sides)
    means = collect_statistics(network, (image for image, _ in samples)).means()
    files = (samples.dataset.samples[index].image for index in samples.chosen[:EXAMPLES])
    return Bins(sides, means, tuple(files))


def without_bins(
    predictor: Predictor, pixels: np.ndarray, off: Collection[int], bins: Bins
) -> tuple[Prediction, Prediction]:
    """Return the predictions on an image (H, W, 3) uint8 with all bins, and without some.

    Args:
        predictor: of the network that `bins` are of.
        pixels: the image.
        off: sides of the bins that are off.
        bins: what stands in for them.
    """
    network = predictor.network
    with remember_features(network.encoder):
        complete = predictor(pixels)
        if not off:
            return complete, complete
        with ablated(network, [f"bin {side}" for side in off], bins.means):
            return complete, predictor(pixels)


def _samples(path: Path | None, *, root: Path | None, trust: bool) -> Samples:
    if path is None or path.suffix != ".ckpt":
        raise UserError("the file names no data set")
    data = load(path, root=root, trust=trust).data
    folder = getattr(data.source, "root", None)
    if folder is not None and not Path(folder).is_dir():  # which some data sets would write
        raise UserError(f"{folder}: no such folder; give --root=FOLDER, where the data is")
    if isinstance(data.source, Scenes):  # means are as good over those of other options
        data.source = Scenes.rendered(data.source.root) or data.source
    return Samples(data, limit=IMAGES)
