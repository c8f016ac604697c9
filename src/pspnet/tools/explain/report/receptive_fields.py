"""The section of the report on receptive fields, theoretical and effective."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from pspnet.models.pspnet import PSPNet
from pspnet.tools.explain.analysis import Explanation
from pspnet.tools.explain.effective_receptive_field import (
    LOGITS,
    median_pixel,
    middle,
    share_within,
    square_side,
)
from pspnet.tools.explain.figures.receptive_fields import FieldMap, draw_fields, draw_growth
from pspnet.tools.explain.layer_table import Part, growth, parts_of
from pspnet.tools.explain.report.markdown import pixels, shape, table
from pspnet.tools.explain.variants import THIS_NETWORK, describe

BRANCHES = "Where branches are parallel, as a block and its shortcut, the widest so far is drawn."
STAGES = ("stage 2", "stage 3", "stage 4", "stage 5")


def receptive_fields_section(
    explanation: Explanation, network: PSPNet, *, folder: Path, images: int, source: str
) -> str:
    """Return tables and figures of the receptive fields, in this dilation layout and in others.

    Writes growth.png and, if gradients were measured, fields.png.

    Args:
        explanation: of the network.
        network: any.
        folder: folder of the report.
        images: number of images that the gradients are averaged over.
        source: network and file, for the figures' headings.
    """
    lines = {name: growth(layers) for name, layers in explanation.layers.items()}
    title, about = "Growth of the theoretical receptive field", f"{source}\n{BRANCHES}"
    draw_growth(lines, folder / "growth.png", sides=explanation.size, title=title, about=about)
    parts = {name: _by_name(explanation, name) for name in explanation.layers}
    text = [
        "## Receptive fields (sections 3.1 and 3.2)\n",
        f"This network: {describe(network.dilation)}. {_other_layouts(explanation)}\n",
        _layout_table(explanation, parts),
        f"\n{BRANCHES}\n\n![Growth of the theoretical receptive field](growth.png)\n",
    ]
    reason = explanation.omitted.get("effective receptive fields")
    if reason:
        text.append(f"The effective receptive fields are left out: {reason}.\n")
    elif explanation.energies:
        title = "Gradient of the middle unit over the image"
        about = f"{source}; mean over {images} images"
        draw_fields(_maps(explanation, parts), folder / "fields.png", title=title, about=about)
        text += [_stage_table(explanation, parts), _findings(explanation, parts)]
        text.append("![Effective receptive fields](fields.png)\n")
    return "\n".join(text)


def _other_layouts(explanation: Explanation) -> str:
    if reason := explanation.omitted.get("layouts"):
        return f"Other dilation layouts are left out: {reason}."
    text = (
        "The other layouts have the same weights; dilation\n"
        "changes strides and spacings only. They compare layouts, not trainings: weights suit the\n"
        "layout that they were trained in."
    )
    refused = [name for name in explanation.omitted if name.startswith("output stride")]
    return text + "".join(f" Left out: {name}, {explanation.omitted[name]}." for name in refused)


def _by_name(explanation: Explanation, layout: str) -> dict[str, Part]:
    return {part.name: part for part in parts_of(explanation.layers[layout])}


def _squares(energy: np.ndarray) -> tuple[int, int]:
    center = median_pixel(energy)
    return square_side(energy, 0.5, center=center), square_side(energy, 0.95, center=center)


def _layout_table(explanation: Explanation, parts: dict[str, dict[str, Part]]) -> str:
    rows = []
    for name, own in parts.items():
        if "stage 5" not in own:
            return ""
        row = [name, shape(own["stage 5"].shape[1:])]
        row += [pixels(own[stage].field.size) for stage in STAGES[-2:] if stage in own]
        energy = explanation.energies.get(name, {}).get("stage 5")
        row += [] if energy is None else [str(side) for side in _squares(energy)]
        rows.append(row)
    header = ["layout", "features", *(f"{s} in theory, px" for s in STAGES[-2:])]
    header += ["stage 5, 50 % of the gradient, px", "95 %, px"]
    return table(header[: len(rows[0])], rows)


def _stage_table(explanation: Explanation, parts: dict[str, dict[str, Part]]) -> str:
    energies, own = explanation.energies[THIS_NETWORK], parts[THIS_NETWORK]
    rows = [
        (
            name,
            pixels(_theoretical(own, name).field.size),
            *(str(side) for side in _squares(energies[name])),
        )
        for name in (*STAGES, LOGITS)
        if name in energies
    ]
    header = (THIS_NETWORK, "in theory, px", "50 % of the gradient, px", "95 %, px")
    return f"""The effective receptive field is measured by the gradient: the squared derivatives of
the middle unit with respect to every pixel, summed over channels (by random signs) and images. The
table has the sides of the smallest squares around the gradient's own middle that hold 50 % and 95 %
of it; a square may reach beyond the image.

{table(header, rows)}
"""


def _findings(explanation: Explanation, parts: dict[str, dict[str, Part]]) -> str:
    energies, (height, width) = explanation.energies[THIS_NETWORK], explanation.size
    half, most = _squares(energies["stage 5"])
    center = median_pixel(energies["stage 5"])
    outside = 1 - share_within(energies[LOGITS], most, center=center)
    share = min(height, most) * min(width, most) / (height * width)
    theory = pixels(parts[THIS_NETWORK]["stage 5"].field.size)
    seen = "the whole image" if theory == "whole image" else f"{theory} pixels per side"
    return f"""In theory a unit of stage 5 depends on {seen}. Half of its gradient lies within
{half} pixels and 95 % within {most}, {100 * share:.0f} % of the image's area. Of the gradient of
the logits, after pyramid and decoder, {100 * outside:.1f} % comes from outside of that square,
which the features alone hardly depend on.
"""


def _maps(explanation: Explanation, parts: dict[str, dict[str, Part]]) -> list[FieldMap]:
    """Return maps of this network's last stages and logits, and of the other layouts' stage 5."""
    chosen = [(name, THIS_NETWORK) for name in ("stage 4", "stage 5", LOGITS)]
    chosen += [("stage 5", layout) for layout in parts if layout != THIS_NETWORK]
    maps = []
    for name, layout in chosen:
        if name in explanation.energies[layout]:
            energy = explanation.energies[layout][name]
            theory = _bounds(_theoretical(parts[layout], name))
            squares = _squares(energy)
            title = f"{name}, {layout}"
            maps.append(FieldMap(title, energy, median_pixel(energy), theory, squares))
    return maps


def _theoretical(parts: dict[str, Part], name: str) -> Part:
    """Return the part whose theoretical field an output has; the logits have the last one's."""
    if name in parts:
        return parts[name]
    return [part for part in parts.values() if not part.training_only][-1]


def _bounds(part: Part) -> tuple[float, float, float, float] | None:
    """Return first and last row and column of the middle unit's field; None for the whole image."""
    if math.isinf(part.field.size[0]):
        return None
    (top, bottom), (left, right) = (
        (middle(n) * extent.stride + extent.first, middle(n) * extent.stride + extent.last)
        for n, extent in zip(part.shape[1:], (part.field.rows, part.field.columns), strict=True)
    )
    return top, bottom, left, right
