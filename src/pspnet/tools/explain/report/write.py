"""The report: its sections in order, and the folder that they and their figures go to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from pspnet.errors import UserError
from pspnet.files.draft_folder import draft_folder
from pspnet.files.writing import make_folder, write_atomic, writing
from pspnet.tools.explain.analysis import Explanation, explain
from pspnet.tools.explain.figures.contributions import ShownImage, draw_contributions
from pspnet.tools.explain.folder import PAGE, check_free
from pspnet.tools.explain.load import Run
from pspnet.tools.explain.progress import Say, silent
from pspnet.tools.explain.report.auxiliary_gradient import auxiliary_section
from pspnet.tools.explain.report.layers import layers_section, reduction_section
from pspnet.tools.explain.report.losses import Losses
from pspnet.tools.explain.report.markdown import left_out, shape
from pspnet.tools.explain.report.pyramid import SHARES, ablation_section, shares_section
from pspnet.tools.explain.report.receptive_fields import receptive_fields_section
from pspnet.tools.explain.report.region_size import region_sizes
from pspnet.tools.explain.samples import NamedImage, Samples, load_image
from pspnet.tools.explain.walk.record import why_no_walk
from pspnet.tools.explain.walk.write import walk_page

FIELD_IMAGES = 8  # whose gradients are averaged
SHOWN_IMAGES = 3  # images with maps, where none is given
PYRAMID = "## The pyramid (section 3.2)"


def write_report(
    run: Run, *, image: Path | None, limit: int | None, overwrite: bool, say: Say = silent
) -> Path:
    """Measure everything and write the report with its figures; return report.md.

    The folder appears when everything is measured.

    Args:
        run: network and data.
        image: image to show the contributions on; None takes some of the validation split.
        limit: images of the validation split to evaluate, spread over it; None is all.
        overwrite: replace the files of a folder that exists.
        say: takes a line at the start of each part.

    Raises:
        UserError: if the folder exists and is not to be overwritten or cannot be written, the data
            lacks a file, or there is an image and no trained network.
    """
    folder = run.folder
    check_free(folder, overwrite=overwrite)
    if image is not None and not run.trained:
        raise UserError(f"{image}: maps of random weights mean nothing; give a checkpoint")
    with draft_folder(folder) as draft:
        trained = run.trained
        text = _trained(run, image, limit, draft, say) if trained else _untrained(run, draft, say)
        write_atomic(draft / "report.md", text.encode())
        make_folder(folder)
        with writing(folder):
            for file in draft.iterdir():
                file.replace(folder / file.name)
    return folder / "report.md"


def _trained(run: Run, image: Path | None, limit: int | None, folder: Path, say: Say) -> str:
    samples = Samples(run.data, limit=limit)
    fewer = "--limit=N takes fewer" if limit is None else f"of {samples.total}"
    say(f"images: {len(samples)} of the validation split, {fewer}")
    shown = [load_image(run.data, image)] if image else samples.shown(SHOWN_IMAGES)
    crops = samples.crops(run.data.crop_size, count=FIELD_IMAGES)
    explanation = explain(
        run.network,
        crops,
        labeled=samples,
        shown=[x.tensor for x in shown],
        protocol=run.protocol,
        say=say,
    )
    return "\n".join(
        (
            _head(run),
            _walk(run, image, folder, say),
            layers_section(explanation, run.network, folder=folder),
            receptive_fields_section(
                explanation, run.network, folder=folder, images=len(crops), source=run.source
            ),
            _pyramid(run, explanation, samples, shown, folder),
            reduction_section(explanation, run.network),
            auxiliary_section(run.network, log=run.log, folder=folder, source=run.source),
        )
    )


def _untrained(run: Run, folder: Path, say: Say) -> str:
    explanation = explain(run.network, size=run.data.crop_size, say=say)
    return "\n".join(
        (
            _head(run),
            layers_section(explanation, run.network, folder=folder),
            receptive_fields_section(
                explanation, run.network, folder=folder, images=0, source=run.source
            ),
            reduction_section(explanation, run.network),
        )
    )


def _head(run: Run) -> str:
    weights = (
        f"The weights are those of `{run.path}`."
        if run.trained
        else f"Built from `{run.path}`, with **random weights**: effective receptive fields, the "
        "pyramid's parts and the auxiliary loss, which need trained ones, are left out."
    )
    return f"""# {run.name}, explained

{run.about}; images of {shape(run.data.crop_size)} pixels.
{weights} Every number below was measured on this network in float32; sections, figures and tables
are numbered as in the paper (arXiv 1612.01105).
"""


def _walk(run: Run, image: Path | None, folder: Path, say: Say) -> str:
    title = "## One image, step by step (figure 3)"
    if (reason := why_no_walk(run.network)) is not None:
        return left_out(title, reason)
    write_atomic(folder / PAGE, walk_page(run, image, say))
    return f"{title}\n\n[{PAGE}]({PAGE}) follows one image through every stage of this network.\n"


def _pyramid(
    run: Run, explanation: Explanation, samples: Samples, shown: list[NamedImage], folder: Path
) -> str:
    classes = run.classes
    if explanation.ablation is None:
        return left_out(PYRAMID, explanation.omitted["pyramid ablation"])
    labels = (label.numpy().astype(np.uint8) for _, label in samples)
    losses = Losses(
        ablation=explanation.ablation,
        names=classes.names,
        groups=classes.groups,
        absent=run.absent,
        region_sizes=region_sizes(labels, num_classes=len(classes)),
    )
    every = "all" if len(samples) == samples.total else f"{len(samples)} of"
    reason = explanation.omitted.get("activation shares")
    shares = left_out(SHARES, reason) if reason else shares_section(explanation.shares)
    bins, source = run.network.pyramid.bins, run.source
    ablation = ablation_section(losses, bins=bins, folder=folder, source=source)
    draw_contributions(
        [
            ShownImage(x.name, x.pixels, c.logits.argmax(0).cpu().numpy(), _arrays(c.maps))
            for x, c in zip(shown, explanation.contributions, strict=True)
        ],
        folder / "contributions.png",
        palette=classes.palette(),
        names=classes.names,
        about=f"{source}; means of the parts over {len(samples)} images",
    )
    return f"""{PYRAMID}

On {every} {samples.total} images of the validation split, evaluated as the run does: protocol
{run.protocol.name}, absent classes: {run.absent}.

{shares}
{ablation}
### Contributions over the image

How much each part raises the logit of the predicted class at a pixel, compared to the part's mean
in its place. The logits are no sum of these, as a ReLU stands between.

![Contribution of each part to the predicted class](contributions.png)
"""


def _arrays(maps: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: change.cpu().numpy() for name, change in maps.items()}
