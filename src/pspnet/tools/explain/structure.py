"""The sections of the report that need no weights: layers and 1×1 convolutions."""

from __future__ import annotations

from pathlib import Path

from pspnet.models.pspnet import PSPNet
from pspnet.tools.explain.layers import parts, to_csv, trace_layers
from pspnet.tools.explain.markdown import amount, pixels, shape, table
from pspnet.tools.explain.reduction import Cost, reduction_costs


def layers_section(network: PSPNet, *, size: tuple[int, int], folder: Path) -> str:
    """The table of the parts; writes layers.csv with every layer."""
    layers = trace_layers(network, size=size)
    (folder / "layers.csv").write_text(to_csv(layers), "utf-8")
    rows = [
        (
            part.name,
            str(part.convolutions),
            ", ".join(str(value) for value in part.dilations) or "–",
            shape(part.shape),
            amount(part.parameters),
            amount(part.flops),
            pixels(part.receptive_field),
        )
        for part in parts(layers)
    ]
    used = [layer for layer in layers if layer.part != "auxiliary"]
    parameters, flops = sum(x.parameters for x in used), sum(x.flops for x in used)
    rows.append(("**all but auxiliary**", "", "", "", amount(parameters), amount(flops), ""))
    idle = sum(p.numel() for p in network.parameters()) - sum(x.parameters for x in layers)
    unused = f" {amount(idle)} further parameters are in layers that never run." if idle else ""
    header = ("part", "convolutions", "dilations", "output", "parameters", "FLOPs", "field, px")
    return f"""## Layers (figure 3)

For one image of {shape(size)} pixels in evaluation mode. A stage ends at the last map of its
size in the plain network: stage 4 at 1/16 of the image, stage 5 at 1/32, wherever dilation keeps
them larger. A multiplication and an addition are two operations; only convolutions count, the
decoder's as published, with its input concatenated. The
field is the theoretical receptive field of a unit at the part's end, by the longest path; a pool
over the whole image on it makes that the whole image. The auxiliary head runs while training
alone.{unused} Every layer by itself: [layers.csv](layers.csv).

{table(header, rows)}
"""


def reduction_section(network: PSPNet, *, size: tuple[int, int]) -> str:
    """What the 1×1 convolutions after the pooling cost and save."""
    title = "## The 1×1 convolutions (section 3.2; DR in table 1)"
    bins = network.pyramid.bins
    if not bins:
        return f"{title}\n\nThis network has no bins, so there is nothing to reduce.\n"
    channels = int(network.encoder.out_channels[-1])  # type: ignore[index]
    costs = reduction_costs(network, size=size)
    chosen = bool(network.options["reduce"])
    rows = [_row(costs[with_], with_, mine=with_ == chosen) for with_ in (True, False)]
    with_, without = costs[True], costs[False]
    saved = [1 - a / b for a, b in zip(with_.network, without.network, strict=True)]
    header = (
        *("", "a level's channels", "into the decoder", "1×1 parameters", "FLOPs"),
        *("decoder parameters", "FLOPs", "network parameters", "FLOPs"),
        "computed",
    )
    each = "C/N" if channels % len(bins) == 0 else "C/N, rounded down,"
    return f"""{title}

The features have C = {channels} channels and the pyramid N = {len(bins)} bins. With reduction a
1×1 convolution takes each level to {each} channels, so that context and features enter the
decoder with equal weight; without it the pooled channels go on as they are. Here reduction takes
{100 * saved[0]:.1f} % of the parameters and {100 * saved[1]:.1f} % of the operations of
inference away (where negative, it adds them). That is as published; this package computes the same
without the decoder's input of so many channels, in the operations of the last column.

{table(header, rows)}
"""


def _row(cost: Cost, reduce: bool, *, mine: bool) -> tuple[str, ...]:
    name = ("with" if reduce else "without") + (" (this network)" if mine else "")
    sums = (*cost.pyramid, *cost.decoder, *cost.network, cost.computed)
    return (name, str(cost.level), str(cost.context), *(amount(number) for number in sums))
