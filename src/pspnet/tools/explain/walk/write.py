"""The page of a run and an image."""

from __future__ import annotations

from pathlib import Path

from pspnet.data.dataset import check_sizes
from pspnet.data.datasets.base import Sample
from pspnet.errors import UserError
from pspnet.files.writing import make_folder, write_atomic
from pspnet.tools.explain.folder import PAGE, check_free
from pspnet.tools.explain.load import Run
from pspnet.tools.explain.progress import Say, silent
from pspnet.tools.explain.samples import Samples, load_image
from pspnet.tools.explain.walk.page import page
from pspnet.tools.explain.walk.record import walk
from pspnet.tools.explain.walk.result import Shown


def write_walk(run: Run, *, image: Path | None, overwrite: bool, say: Say = silent) -> Path:
    """Write the page alone into the folder of the run's report and return its path.

    Args:
        run: network and data.
        image: the image; None takes one of the validation split.
        overwrite: replace an older page.
        say: takes a line that says what is being measured.

    Raises:
        UserError: if the page exists and is not to be overwritten or cannot be written, there is no
            trained network or no image, or `why_no_walk`.
    """
    path = run.folder / PAGE
    check_free(path, overwrite=overwrite)
    if not run.trained:
        raise UserError(f"{run.path}: maps of random weights mean nothing; give a checkpoint")
    content = walk_page(run, image, say)
    make_folder(run.folder)
    write_atomic(path, content)
    return path


def walk_page(run: Run, image: Path | None, say: Say = silent) -> bytes:
    """Return the page; the arguments are as in `write_walk`."""
    shown = shown_image(run, image)
    say(f"{PAGE}: the maps of {shown.image.name} after every stage, and its prediction …")
    walked = walk(run.network, shown.image.tensor, run.protocol)
    return page(run, walked, shown).encode("utf-8", "backslashreplace")


def shown_image(run: Run, image: Path | None) -> Shown:
    """Return an image, with its label if it belongs to the validation split.

    Args:
        run: its data.
        image: a file; None takes the first image of the split.

    Raises:
        UserError: if the file, or without one the split, cannot be read.
    """
    try:
        samples = Samples(run.data, limit=1).dataset.samples
    except UserError as error:
        if image is None:
            raise UserError(f"{error}; or name an image") from error
        samples = []  # the image alone is enough
    for sample in samples:
        if image is None or sample.image.resolve() == image.resolve():
            return _labeled(run, sample)
    assert image is not None
    return Shown(load_image(run.data, image), None)


def _labeled(run: Run, sample: Sample) -> Shown:
    image = load_image(run.data, sample.image)._replace(name=sample.name)
    label = run.data.source.read_label(sample)
    check_sizes(sample, image.pixels, label)
    return Shown(image, label)
