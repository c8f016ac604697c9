"""The sections of the page on the encoder and the pyramid."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pspnet.models.pspnet import PSPNet
from pspnet.tools.explain.layer_table import Part
from pspnet.tools.explain.report.markdown import amount, pixels, shape
from pspnet.tools.explain.walk.markup import (
    bar,
    facts,
    field_frame,
    frame,
    row,
    section,
    span,
    text,
)
from pspnet.tools.explain.walk.pictures import (
    CHOSEN_SIDE,
    Component,
    distinct_channels,
    first_component,
    heat,
    limits_of,
)
from pspnet.tools.explain.walk.record import Walk

CHANNELS = 4  # of a stage that are shown one by one


def encoder_section(walk: Walk) -> str:
    """Return the stages of the encoder: what a unit sees, and the maps."""
    parts, stages = walk.parts, walk.stages
    return section(
        "encoder",
        "Encoder (figure 3b)",
        "<p>Each stage is shown as its first principal component, the weighted sum of all channels"
        " that varies most over the image, and by the channels that vary most, each in what those"
        " before it leave unexplained. Dark is low, yellow is high. Red frames mark a unit, and the"
        " part of the input that it can depend on: its theoretical receptive field.</p>",
        *(
            _stage(walk, name, maps, parts.get(name), walk.seconds.get(name))
            for name, maps in stages.items()
        ),
    )


def _stage(walk: Walk, name: str, maps: Tensor, part: Part | None, seconds: float | None) -> str:
    aspect, units = walk.aspect, maps.shape[1:]
    component = first_component(maps)
    frames = [component_frame(walk, maps, component, name)]
    if part is not None:
        frames.insert(0, field_frame(_seen(part), aspect=aspect, units=units, field=part.field))
    frames += channel_frames(walk, maps, name)
    listed = {"output": shape(maps.shape), **(part_facts(part, seconds) if part else {})}
    return f"<h3>{text(name.capitalize())}</h3>{facts(listed)}{row(*frames)}"


def part_facts(part: Part, seconds: float | None) -> dict[str, str]:
    """Return the numbers of a part of the network by name."""
    sees, dilations = part.field.rows, ", ".join(map(str, part.dilations)) or "–"
    found = {"stride": f"{sees.stride:g}"} if part.name.startswith("stage") else {}
    found |= {
        "convolutions": str(part.convolutions),
        "dilation": dilations,
        "receptive field": pixels(part.field.size),
        "parameters": amount(part.parameters),
        "FLOPs": amount(part.flops),
    }
    return found | ({} if seconds is None else {"time": f"{1000 * seconds:.1f} ms"})


def _seen(part: Part) -> str:
    height, width = part.field.size
    seen = f"{height:g}×{width:g} pixels" if math.isfinite(height + width) else "the whole image"
    return f"A unit sees {seen}"


def component_frame(walk: Walk, maps: Tensor, component: Component, name: str) -> str:
    """Return the frame of maps (C, h, w) as their first principal component."""
    share, size = f"{component.share:.0%}", shape(maps.shape[1:])
    return frame(
        heat(component.of(maps), component.limits),
        f"First principal component, {share} of the variance",
        f"{name}: first principal component of {len(maps)} channels, {size} units",
        aspect=walk.aspect,
        units=maps.shape[1:],
    )


def channel_frames(walk: Walk, maps: Tensor, name: str) -> Iterator[str]:
    """Yield the frames of the channels of maps (C, h, w) that vary most."""
    for channel in distinct_channels(maps, CHANNELS):
        values = span(maps[channel])
        yield frame(
            heat(maps[channel], limits_of(maps[channel]), side=CHOSEN_SIDE),
            f"Channel {channel}: {values}",
            f"{name}: channel {channel}, {values}",
            aspect=walk.aspect,
            units=maps.shape[1:],
            size="small",
        )


def pyramid_section(walk: Walk, network: PSPNet) -> str:
    """Return each level, pooled, convolved and upsampled, and the concatenation."""
    title = "Pyramid pooling (figure 3c)"
    if walk.why_no_parts is not None:
        frames = [
            component_frame(walk, maps, first_component(maps), name)
            for name, maps in walk.outputs.items()
        ]
        why = f"<p>Its levels are left out: {text(walk.why_no_parts)}.</p>"
        return section("pyramid", title, why, row(*frames))
    last = [*walk.stages.values()][-1]
    component, pyramid = first_component(last), network.pyramid
    levels = (
        _level(walk, place, side, _named(module), component)
        for place, (side, module) in enumerate(zip(pyramid.bins, pyramid.levels, strict=True))
    )
    said = f"<p>{_pooling(network, last)}</p>"
    return section("pyramid", title, said, *levels, _concatenation(walk))


def _pooling(network: PSPNet, features: Tensor) -> str:
    what = "mean" if network.pyramid.pool == "average" else "largest value"
    height, width = features.shape[1:]
    return (
        f"Each level divides the {height}×{width} units of the features into a grid and takes the"
        f" {what} of each channel in each cell. The grids are shown as the principal component"
        " of the last stage, in its colors; after it, the mean over channels is shown."
    )


def _named(level: nn.Module) -> str:
    """Return what a level is, by its first convolution."""
    first = next((layer for layer in level.modules() if isinstance(layer, nn.Conv2d)), None)
    return type(level).__name__ if first is None else f"{shape(first.kernel_size)} convolution"


def _level(walk: Walk, place: int, side: int, what: str, component: Component) -> str:
    name, cells, level = f"bin {side}", walk.record.pooled[place], walk.record.levels[place]
    upsampled = walk.outputs[name]
    height, width = upsampled.shape[1:]
    reduced, wide = level.float().mean(0), upsampled.float().mean(0)
    limits, each = limits_of(wide), f"cells of {height / side:.3g}×{width / side:.3g} units"
    shown = [
        (component.of(cells), component.limits, "Pooled", shape(cells.shape), each),
        (reduced, limits, what, shape(level.shape), f"mean {span(reduced)}"),
        (wide, limits, "Upsampled", shape(upsampled.shape), f"mean {span(wide)}"),
    ]
    if torch.equal(cells, level):  # without reduction
        del shown[1]
    frames = (
        frame(
            heat(values, given),
            f"{step} to {size}; {how}",
            f"{name}, {step} to {size}; {how}",
            aspect=walk.aspect,
            units=values.shape,
        )
        for values, given, step, size, how in shown
    )
    part = walk.parts.get(name)
    numbers = {"parameters": part.parameters, "FLOPs": part.flops} if part else {}
    listed = facts({key: amount(value) for key, value in numbers.items()})
    return f"<h3>Bin {side}</h3>{listed}{row(*frames)}"


def _concatenation(walk: Walk) -> str:
    joined = torch.cat([*walk.outputs.values()])
    channels = {name: len(maps) for name, maps in walk.outputs.items()}
    said = f"<p>{len(joined)} channels of {shape(joined.shape[1:])} units enter the decoder.</p>"
    if walk.fused:
        said += (
            "<p>As run, this network computes pyramid and the decoder's first convolution in one"
            " step. It builds neither these channels nor the upsampled levels, and takes"
            f" {amount(walk.published_flops - walk.flops)} FLOPs fewer. Both are shown from a"
            " second pass in the published form, whose logits differ by at most"
            f" {walk.deviation:.1e}.</p>"
        )
    sizes = {k: f"{x.float().square().mean().sqrt():.2g}" for k, x in walk.outputs.items()}
    picture = component_frame(walk, joined, first_component(joined), "concatenation")
    return (
        f"<h3>Concatenation</h3>{said}{bar(channels)}<p>Root mean square of each part:</p>"
        f"{facts(sizes)}{row(picture)}"
    )
