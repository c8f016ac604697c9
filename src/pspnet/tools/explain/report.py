"""The report: its sections in order, and the folder that they and their pictures go to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch

from pspnet.errors import UserError
from pspnet.tools.explain.auxiliary import gradients
from pspnet.tools.explain.gradients_figure import gradient_curves
from pspnet.tools.explain.layouts import describe
from pspnet.tools.explain.markdown import shape, table
from pspnet.tools.explain.parts_figure import Picture, contribution_grid
from pspnet.tools.explain.pyramid import contributions
from pspnet.tools.explain.reception import reception_section
from pspnet.tools.explain.regions import region_sizes
from pspnet.tools.explain.roles import Roles, roles_section
from pspnet.tools.explain.samples import Samples, Shown, picture
from pspnet.tools.explain.silencing import averages, silence
from pspnet.tools.explain.structure import layers_section, reduction_section
from pspnet.tools.explain.subject import Subject

FIELD_IMAGES = 8  # whose gradients are averaged
SHOWN = 3  # images with maps, where none is given


def write_report(
    subject: Subject, *, image: Path | None, limit: int | None, overwrite: bool
) -> Path:
    """Measures everything and writes the report with its pictures; returns report.md.

    The folder appears when all is measured.

    Args:
        subject: what is explained.
        image: picture to show the maps of; None takes some of the validation split.
        limit: images of the validation split to evaluate, spread over it; None is all.
        overwrite: whether files of a folder that exists are replaced.

    Raises:
        FileExistsError: if the folder exists, and is not to be overwritten.
        FileNotFoundError: naming the first path that the data lacks.
        ValueError: if there is an image and no trained network.
    """
    folder = subject.folder
    if os.path.lexists(folder) and not overwrite:
        raise UserError(f"{folder} exists; add --overwrite, or move it away")
    if image is not None and not subject.trained:
        raise UserError(f"{image}: maps of random weights say nothing; give a checkpoint")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        text = _report(subject, image=image, limit=limit, folder=draft)
        (draft / "report.md").write_text(text, "utf-8")
        folder.mkdir(exist_ok=True)
        for file in draft.iterdir():
            file.replace(folder / file.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder / "report.md"


def _report(subject: Subject, *, image: Path | None, limit: int | None, folder: Path) -> str:
    network, size = subject.network, subject.data.crop_size
    samples = Samples(subject.data, limit=limit) if subject.trained else None
    given = [picture(subject.data, image)] if image else []
    crops = samples.crops(size, count=FIELD_IMAGES) if samples else []
    sections = [
        _head(subject),
        layers_section(network, size=size, folder=folder),
        reception_section(network, size=size, folder=folder, images=crops),
    ]
    if samples:
        sections.append(_pyramid(subject, samples, given=given, folder=folder))
    sections.append(reduction_section(network, size=size))
    if samples:
        sections.append(_auxiliary(subject, folder))
    return "\n".join(sections)


def _head(subject: Subject) -> str:
    options = subject.network.options
    weights = (
        f"The weights are those of `{subject.path}`."
        if subject.trained
        else f"Built from `{subject.path}`, with **random weights**: what needs trained ones, as "
        "effective receptive fields, the pyramid's parts and the auxiliary loss, is left out."
    )
    bins = ", ".join(str(side) for side in subject.network.pyramid.bins) or "none"
    reduce = "with" if options["reduce"] else "without"
    return f"""# {subject.name}, explained

PSPNet on {options["encoder"]}, {describe(subject.network.dilation)}; bins {bins},
{options["pool"]} pooling, {reduce} reduction; {len(subject.classes)} classes; images of
{shape(subject.data.crop_size)} pixels. {weights} Every number below was measured on this
network; sections, figures and tables are those of the paper (arXiv 1612.01105).
"""


def _pyramid(subject: Subject, samples: Samples, *, given: list[Shown], folder: Path) -> str:
    network, classes = subject.network, subject.classes
    if not network.pyramid.bins:
        return (
            "## The pyramid (section 3.2)\n\nThis network has no bins, so none can be silenced.\n"
        )
    device = next(network.parameters()).device
    pairs = ((x.to(device), label.to(device)) for x, label in samples.pairs())
    found = averages(network, (x.to(device) for x, _ in samples.pairs()))
    means = found.means()
    labels = (label.numpy().astype(np.uint8) for _, label in samples.pairs())
    roles = Roles(
        bins=network.pyramid.bins,
        names=classes.names,
        groups=classes.groups,
        absent=subject.absent,
        images=(len(samples.chosen), samples.total),
        sizes=found.sizes(),
        silencing=silence(network, pairs, means),
        regions=region_sizes(labels, num_classes=len(classes)),
    )
    section = roles_section(roles, folder=folder)
    pictures = []
    for name, pixels, tensor in given or samples.pictures(SHOWN):
        with torch.no_grad():
            prediction, maps = contributions(network, tensor.to(device), means)
        changes = {part: change.cpu().numpy() for part, change in maps.items()}
        pictures.append(Picture(pixels, prediction.cpu().numpy(), changes, name))
    contribution_grid(
        pictures, folder / "parts.png", palette=classes.palette(), names=classes.names
    )
    whose = "" if given else f"Shown are {len(pictures)} images spread evenly over the split."
    return f"""{section}
### In the picture

How much higher each part takes the score of the class that is predicted at a pixel, against the
part's mean in its place. The scores are no sum of these, as a ReLU stands between.
{whose}

![What each part adds to the predicted class](parts.png)
"""


def _auxiliary(subject: Subject, folder: Path) -> str:
    title = "## The auxiliary loss (section 4)"
    if subject.network.auxiliary is None:
        return f"{title}\n\nThis network was trained without one.\n"
    found = gradients(subject.log)
    if found is None:
        return f"{title}\n\nNot known: the run's log, {subject.log}, holds no gradients.\n"
    gradient_curves(found.steps, found.auxiliary, found.main, folder / "auxiliary.png")
    rows = [
        (name, *(f"{value:.3g}" for value in found.tenth(which)))
        for name, which in (("first", 0), ("middle", 5), ("last", 9))
    ]
    header = ("tenth of the run", "auxiliary", "main", "auxiliary by main")
    return f"""{title}

Norm of the gradient at stage 4's features, of the weighted auxiliary loss and of the main loss,
each of one batch, as logged while training: how hard each pulls at stages 1 to 4. Medians over
{len(found.steps)} logged steps.

{table(header, rows)}

![Gradients of both losses](auxiliary.png)
"""
