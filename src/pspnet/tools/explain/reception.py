"""The section of the report on receptive fields, in theory and by gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from pspnet.models.pspnet import PSPNet
from pspnet.tools.explain.effective import DECODER, energies, heart, middle, square_of
from pspnet.tools.explain.fields_figure import FieldMap, field_growth, field_maps
from pspnet.tools.explain.layers import Layer, trace_layers
from pspnet.tools.explain.layouts import LAYOUTS, describe, laid_out
from pspnet.tools.explain.markdown import pixels, shape, table

HERE = "this network"
STAGES = ("stage 2", "stage 3", "stage 4", "stage 5")


def reception_section(
    network: PSPNet, *, size: tuple[int, int], folder: Path, images: Sequence[Tensor]
) -> str:
    """Tables and pictures of the receptive fields, of this layout and of others.

    Writes growth.png and, where there are images, fields.png.

    Args:
        network: in evaluation mode.
        size: height and width of the images.
        folder: of the report.
        images: normalized, (3, H, W) each, of that size; none leaves out what needs weights.
    """
    networks, refused = _layouts(network)
    layers = {name: trace_layers(other, size=size) for name, other in networks.items()}
    wide = {name: _growth(own) for name, own in layers.items()}
    field_growth(wide, folder / "growth.png", sides=size, title="Theoretical receptive field")
    spread = {}
    if images:
        for name, other in networks.items():
            only = None if name == HERE else ("stage 5",)
            spread[name] = energies(other, images, only=only)
    text = [
        "## Receptive fields (sections 3.1 and 3.2)\n",
        f"This network: {describe(network.dilation)}. The other layouts have the same weights,\n"
        "of which dilation changes nothing but strides and spacings: they compare layouts, not\n"
        "trainings, and weights that were trained in one layout are at home in that one only.\n",
        _by_layout(layers, spread),
        *refused,
        "\n![Growth of the theoretical receptive field](growth.png)\n",
    ]
    if images:
        maps = _maps(layers, spread)
        title = f"Where the gradient of the middle unit lies, mean of {len(images)} images"
        field_maps(maps, folder / "fields.png", title=title)
        text += [_by_stage(layers[HERE], spread[HERE]), _findings(layers[HERE], spread[HERE], size)]
        text.append("![Effective receptive fields](fields.png)\n")
    return "\n".join(text)


def _layouts(network: PSPNet) -> tuple[dict[str, PSPNet], list[str]]:
    """This network, and it in the other layouts; a line for each layout that it cannot have."""
    own = network.dilation
    networks, refused = {HERE: network}, []
    for name, layout in LAYOUTS.items():
        if layout == own:
            continue
        try:
            networks[f"output stride {name}"] = laid_out(network, layout)
        except ValueError as error:
            refused.append(f"\nOutput stride {name} is left out: {error}.")
    return networks, refused


def _growth(layers: list[Layer]) -> list[float]:
    """Height of the field after each wide convolution of the encoder."""
    wide = [x for x in layers if x.part.startswith("stage") and x.kernel and max(x.kernel) > 1]
    return [layer.receptive_field[0] for layer in wide]


def _end(layers: list[Layer], part: str) -> Layer:
    return [layer for layer in layers if layer.part == part][-1]


def _squares(energy: np.ndarray) -> tuple[int, int]:
    center = heart(energy)
    return square_of(energy, 0.5, center=center), square_of(energy, 0.95, center=center)


def _by_layout(layers: dict[str, list[Layer]], spread: dict[str, dict[str, np.ndarray]]) -> str:
    rows = []
    for name, own in layers.items():
        last = _end(own, "stage 5")
        row = [name, shape(last.shape[1:]), pixels(_end(own, "stage 4").receptive_field)]
        row.append(pixels(last.receptive_field))
        if spread:
            energy = spread[name]["stage 5"]
            row += [str(side) for side in _squares(energy)]
        rows.append(row)
    effective = ["stage 5, 50 % of the gradient", "95 %"] if spread else []
    header = ["layout", "features", "stage 4 in theory, px", "stage 5 in theory, px", *effective]
    return table(header, rows)


def _by_stage(layers: list[Layer], spread: dict[str, np.ndarray]) -> str:
    rows = []
    for name in (*STAGES, DECODER):
        if name in spread:
            layer = _end(layers, name)
            squares = _squares(spread[name])
            title = "class scores" if name == DECODER else name
            rows.append((title, pixels(layer.receptive_field), *(str(side) for side in squares)))
    header = ("this network", "in theory, px", "50 % of the gradient, px", "95 %, px")
    return f"""The effective field is measured by gradient: the squared derivatives of the part's
middle unit by every pixel, summed over channels and images (the channels by random signs).
Given are the sides of the least squares around its own middle that hold 50 % and 95 % of it; a
square may reach beyond the image.

{table(header, rows)}
"""


def _findings(layers: list[Layer], spread: dict[str, np.ndarray], size: tuple[int, int]) -> str:
    last = _end(layers, "stage 5")
    energy = spread["stage 5"]
    half, most = _squares(energy)
    theory = pixels(last.receptive_field)
    outside = 1 - _within(spread[DECODER], most, heart(energy))
    down, across = (min(side, most) for side in size)
    share = down * across / (size[0] * size[1])
    seen = "the whole image" if theory == "whole image" else f"{theory} pixels a side"
    return f"""In theory a unit of stage 5 sees {seen}; half of its gradient lies within {half}
pixels and 95 % within {most}, {100 * share:.0f} % of the image's area. Of the class scores'
gradient, after pyramid and decoder, {100 * outside:.1f} % comes from outside of that square.
What lies outside is what the features alone hardly see.
"""


def _within(energy: np.ndarray, side: int, center: tuple[int, int]) -> float:
    rows, columns = (np.abs(np.arange(n) - c) for n, c in zip(energy.shape, center, strict=True))
    inside = np.maximum.outer(rows, columns) <= side // 2
    return float(energy[inside].sum() / energy.sum())


def _maps(
    layers: dict[str, list[Layer]], spread: dict[str, dict[str, np.ndarray]]
) -> list[FieldMap]:
    """The stages of this network, then its class scores, then stage 5 of the other layouts."""
    own = [("stage 4", HERE), ("stage 5", HERE), (DECODER, HERE)]
    others = [("stage 5", name) for name in layers if name != HERE]
    maps = []
    for part, name in (*own, *others):
        layer, energy = _end(layers[name], part), spread[name][part]
        label = "class scores" if part == DECODER else part
        title = f"{label}, {name}"
        maps.append(FieldMap(title, energy, heart(energy), _theory(layer), _squares(energy)))
    return maps


def _theory(layer: Layer) -> tuple[float, float, float, float] | None:
    """First and last row and column that the middle unit sees; None for the whole image."""
    if math.isinf(layer.receptive_field[0]):
        return None
    (top, bottom), (left, right) = (
        (middle(count) * reach.jump + reach.low, middle(count) * reach.jump + reach.high)
        for count, reach in zip(layer.shape[1:], layer.field, strict=True)
    )
    return top, bottom, left, right
