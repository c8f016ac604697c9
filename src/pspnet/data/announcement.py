"""Lines about the data of a training, before its first step."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from pspnet.data.datasets.base import Sample, Source
from pspnet.data.datasets.recognize import recognize
from pspnet.data.facts.crop_fill import low_fill, read_sizes
from pspnet.data.facts.quick import quick_check
from pspnet.data.transforms.augmentation import AugmentationBase
from pspnet.errors import Findings, UserError, note, shortened, warn

MOST_ERRORS = 20  # that are printed


def check_hint(source: Source) -> str:
    """Return the command that lists all files of a data set that are wrong."""
    root = getattr(source, "root", None)
    try:
        alone = root is not None and type(recognize(root)) is type(source)
    except UserError:
        alone = False
    options = shlex.quote(str(root)) if alone else "with the same options of data"
    return f"python -m pspnet check {options} lists all wrong files"


def left_out(images: int, batch_size: int) -> str:
    """Return the clause about images that an epoch leaves out, "" if there are none."""
    rest = images % batch_size
    reason = f"data.batch_size={batch_size} does not divide {images}"
    return f"each epoch leaves out {rest}, as {reason}" if rest else ""


def padding(
    train: Sequence[Sample], augmentation: AugmentationBase, crop_size: tuple[int, int]
) -> str:
    """Return the clause about images that are small for the crops, "" where they are not."""
    fill = low_fill(augmentation, read_sizes(train), crop_size)
    height, width = crop_size
    crop = f"a crop of {width}×{height}; lower data.crop_size"
    return "" if fill is None else f"the median image fills {fill:.0%} of {crop}"


@rank_zero_only
def announce_splits(
    source: Source, train: Sequence[Sample], val: Sequence[Sample], clauses: Sequence[str] = ()
) -> None:
    """Say how many images are trained and validated on, what divided them, and what is left out.

    Args:
        source: the data set.
        train: its images to train on.
        val: those to validate on.
        clauses: what else there is to say about them; empty ones are left out.
    """
    origin = f" ({source.origin})" if source.origin else ""
    counted = f"data: train {len(train)}, val {len(val)} images{origin}"
    rank_zero_info("; ".join(filter(None, (counted, *clauses))))
    for line in source.notes:
        note(line)
    trained = {sample.image for sample in train}
    shared = [sample.name for sample in val if sample.image in trained]
    if shared:
        note(
            f"{len(shared)} of the {len(val)} val images are trained on, too, first {shared[0]!r}:"
            " scores on val do not measure generalization"
        )


def check_files(source: Source, train: Sequence[Sample], val: Sequence[Sample]) -> None:
    """Read files for about half a second, and say in one line what was found.

    Raises:
        Findings: naming files that are wrong; each but the first is printed before.
    """
    line, findings = quick_check(source, train, val)
    rank_zero_info(line)
    errors = [it.text for it in findings if it.level == "error"]
    for it in findings:
        if it.level == "warning":
            warn(it.text)
    for text in errors[1:MOST_ERRORS]:
        sys.stderr.write(f"error: {shortened(text)}\n")
    if errors:
        raise Findings(errors)
