"""Lines about the data of a training, before its first step."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from pspnet.data.datasets.base import Sample, Source
from pspnet.data.datasets.recognize import recognize
from pspnet.data.facts.quick import quick_check
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


@rank_zero_only
def announce_splits(source: Source, train: Sequence[Sample], val: Sequence[Sample]) -> None:
    """Say how many images are trained and validated on, what divided them, and what is left out."""
    origin = f" ({source.origin})" if source.origin else ""
    rank_zero_info(f"data: train {len(train)}, val {len(val)} images{origin}")
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
